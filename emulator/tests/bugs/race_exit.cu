// Warps that leave the kernel count as arrived at the barriers of all threads, and as nothing for those who have none.
// launch: block 256
// arguments: in 1024, fresh 4
// checks: races
// expect: races line 13 block 0 thread 32 other 17 says shared memory: a write after a read by another warp
template <bool waits> __device__ void body(const int *in, int *out) {
    __shared__ int sums[8];
    int lane = threadIdx.x % 32;
    int sum = in[threadIdx.x];
    for (int step = 16; step > 0; step /= 2)
        sum += __shfl_xor_sync(~0u, sum, step);
    if (lane == 0)
        sums[threadIdx.x / 32] = sum;
    if (threadIdx.x >= 32) return;
    if (waits) __syncthreads();
    else __syncwarp();
    sum = lane < 8 ? sums[lane] : 0;
    for (int step = 4; step > 0; step /= 2)
        sum += __shfl_xor_sync(~0u, sum, step);
    if (lane == 0) *out = sum;
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
