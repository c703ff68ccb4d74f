// A lock in shared memory between the warps of a block, without a fence when it is let go.
// launch: block 128
// arguments: zero 4
// checks: races
// expect: races line 14 block 0 thread 32 other 14 says shared memory: a read after a write by another warp
template <bool ordered> __device__ void body(int *out) {
    __shared__ int lock, total;
    if (threadIdx.x == 0)
        lock = total = 0;
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
        while (atomicCAS(&lock, 0, 1) != 0) {
        }
        total += threadIdx.x;
        if (ordered)
            __threadfence_block();
        atomicExch(&lock, 0);
    }
    __syncthreads();
    if (threadIdx.x == 0)
        *out = total;
}

extern "C" __global__ void wrong(int *out) { body<false>(out); }

extern "C" __global__ void right(int *out) { body<true>(out); }
