// Two buffers and one barrier a step are enough only when the barrier stands between writing a buffer and reading it.
// launch: block 64
// arguments: in 2048, zero 256
// checks: races
// expect: races line 13 block 0 thread 32 other 11 says shared memory: a read after a write by another warp
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int buffers[2][64];
    unsigned i = threadIdx.x;
    int sum = 0;
    for (unsigned step = 0; step < 8; ++step) {
        buffers[ordered ? step % 2 : 0][i] = in[64 * step + i];
        __syncthreads();
        sum += buffers[ordered ? step % 2 : 0][63 - i];
    }
    out[i] = sum;
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
