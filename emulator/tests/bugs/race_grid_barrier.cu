// A barrier of all blocks made of a counter, without the fence that makes what came before visible.
// launch: grid 4 block 64
// arguments: zero 1024, zero 4, zero 1024
// checks: races
// expect: races line 19 block 3 thread 0 other 8 says global memory: a read after a write by another block
template <bool ordered> __device__ void body(int *values, unsigned *count, int *out) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, all = gridDim.x * blockDim.x;
    values[i] = i;
    __syncthreads();
    if (threadIdx.x == 0) {
        if (ordered)
            __threadfence();
        atomicAdd(count, 1);
        while (*reinterpret_cast<volatile unsigned *>(count) < gridDim.x) {
        }
        __threadfence();
    }
    __syncthreads();
    out[i] = values[all - 1 - i];
}

extern "C" __global__ void wrong(int *values, unsigned *count, int *out) { body<false>(values, count, out); }

extern "C" __global__ void right(int *values, unsigned *count, int *out) { body<true>(values, count, out); }
