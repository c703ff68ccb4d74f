// The block that draws the last ticket reads what the others wrote without a fence.
// launch: grid 4 block 64
// arguments: in 1024, zero 16, zero 4, zero 4
// checks: races
// expect: races line 20 block 3 thread 0 other 10 says global memory: a read after a write by another block
template <bool ordered> __device__ void body(const int *in, int *partial, unsigned *ticket, int *out) {
    __shared__ bool last;
    unsigned i = threadIdx.x;
    if (i == 0)
        partial[blockIdx.x] = in[blockIdx.x];
    if (i == 0) {
        if (ordered)
            __threadfence();
        last = atomicAdd(ticket, 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && i == 0) {
        int sum = 0;
        for (unsigned block = 0; block < gridDim.x; ++block)
            sum += partial[block];
        *out = sum;
        *ticket = 0;
    }
}

extern "C" __global__ void wrong(const int *in, int *partial, unsigned *ticket, int *out) { body<false>(in, partial, ticket, out); }

extern "C" __global__ void right(const int *in, int *partial, unsigned *ticket, int *out) { body<true>(in, partial, ticket, out); }
