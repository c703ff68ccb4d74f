// Every thread fences its own writes, but no barrier stands between them and the ticket.
// launch: grid 4 block 64
// arguments: in 1024, zero 32, zero 4, zero 4
// checks: races
// expect: races line 22 block 3 thread 0 other 10 says global memory: a read after a write by another block
template <bool ordered> __device__ void body(const int *in, int *partial, unsigned *ticket, int *out) {
    __shared__ bool last;
    unsigned i = threadIdx.x;
    if (i % 32 == 31)
        partial[2 * blockIdx.x + i / 32] = in[i];
    __threadfence();
    if (ordered)
        __syncthreads();
    if (i == 0) {
        __threadfence_block();
        last = atomicAdd(ticket, 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && i == 0) {
        int sum = 0;
        for (unsigned block = 0; block < gridDim.x; ++block)
            sum += partial[2 * block + 1];
        *out = sum;
        *ticket = 0;
    }
}

extern "C" __global__ void wrong(const int *in, int *partial, unsigned *ticket, int *out) { body<false>(in, partial, ticket, out); }

extern "C" __global__ void right(const int *in, int *partial, unsigned *ticket, int *out) { body<true>(in, partial, ticket, out); }
