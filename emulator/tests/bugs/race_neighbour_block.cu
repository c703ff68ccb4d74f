// A stencil in place: blocks read what their neighbours write in the same launch.
// launch: grid 4 block 32
// arguments: in 640, zero 640
// checks: races
// expect: races line 12 block 1 thread 0 other 8 says global memory: a write after a read by another block
template <bool ordered> __device__ void body(int *line, int *out) {
    unsigned i = 32 * blockIdx.x + threadIdx.x;
    int sum = line[i] + line[i + 32];
    if (ordered)
        out[i] = sum;
    else
        line[i] = sum;
}

extern "C" __global__ void wrong(int *line, int *out) { body<false>(line, out); }

extern "C" __global__ void right(int *line, int *out) { body<true>(line, out); }
