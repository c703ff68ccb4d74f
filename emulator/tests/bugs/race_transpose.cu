// A transpose through shared memory without a barrier.
// launch: block 32,8
// arguments: in 4096, zero 4096
// checks: races
// expect: races line 13 block 0 thread 8 other 9 says shared memory: a read after a write by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int tile[32][33];
    for (unsigned y = threadIdx.y; y < 32; y += 8)
        tile[y][threadIdx.x] = in[32 * y + threadIdx.x];
    if (ordered)
        __syncthreads();
    for (unsigned y = threadIdx.y; y < 32; y += 8)
        out[32 * y + threadIdx.x] = tile[threadIdx.x][y];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
