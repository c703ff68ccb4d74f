// A stencil whose halo is loaded by other warps than those that read it.
// launch: grid 2 block 64
// arguments: in 520, zero 512
// checks: races
// expect: races line 10 block 0 thread 32 other 17 says shared memory: a write after a read by another warp
// expect: races line 17 block 0 thread 63 other 12 says shared memory: a read after a write by another warp
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int line[66];
    unsigned i = threadIdx.x, start = 64 * blockIdx.x;
    line[i] = in[start + i];
    if (i < 2)
        line[64 + i] = in[start + 64 + i];
    if (ordered)
        __syncthreads();
    else
        __syncwarp();
    out[start + i] = line[i] + line[i + 1] + line[i + 2];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
