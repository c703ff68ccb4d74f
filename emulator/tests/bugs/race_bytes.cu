// Threads write bytes side by side; in the wrong kernel each writes one byte of its neighbour's too.
// launch: block 64
// arguments: in 256, zero 512
// checks: races
// expect: races line 10 block 0 thread 0 other 10 says shared memory: a write after a write by another lane
template <bool ordered> __device__ void body(const int *in, unsigned char *out) {
    __shared__ unsigned char bytes[256];
    unsigned i = threadIdx.x;
    for (unsigned k = 0; k < (ordered ? 2 : 3); ++k)
        bytes[2 * i + k] = in[i] + k;
    __syncthreads();
    out[i] = bytes[127 - i];
}

extern "C" __global__ void wrong(const int *in, unsigned char *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, unsigned char *out) { body<true>(in, out); }
