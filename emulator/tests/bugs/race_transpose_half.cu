// A transpose of 16-bit elements: neighbours in a word belong to different threads, which is no race; the missing
// barrier is one.
// launch: block 32,8
// arguments: in 2048, zero 2048
// checks: races
// expect: races line 14 block 0 thread 8 other 10 says shared memory: a read after a write by another lane
template <bool ordered> __device__ void body(const unsigned short *in, unsigned short *out) {
    __shared__ unsigned short tile[32][33];
    for (unsigned y = threadIdx.y; y < 32; y += 8)
        tile[threadIdx.x][y] = in[32 * y + threadIdx.x];
    if (ordered)
        __syncthreads();
    for (unsigned y = threadIdx.y; y < 32; y += 8)
        out[32 * y + threadIdx.x] = tile[y][threadIdx.x];
}

extern "C" __global__ void wrong(const unsigned short *in, unsigned short *out) { body<false>(in, out); }

extern "C" __global__ void right(const unsigned short *in, unsigned short *out) { body<true>(in, out); }
