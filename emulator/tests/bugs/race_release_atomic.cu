// The last block, found by an atomic that releases and acquires, or by a relaxed one.
// launch: grid 4 block 32
// arguments: zero 16, zero 4, zero 4
// checks: races
// expect: races line 15 block 3 thread 0 other 8 says global memory: a read after a write by another block
template <bool ordered> __device__ void body(int *partial, unsigned *ticket, int *out) {
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = blockIdx.x;
        unsigned drawn;
        if (ordered)
            asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], 1;" : "=r"(drawn) : "l"(ticket) : "memory");
        else
            asm volatile("atom.add.relaxed.gpu.global.u32 %0, [%1], 1;" : "=r"(drawn) : "l"(ticket) : "memory");
        if (drawn == gridDim.x - 1)
            *out = partial[0] + partial[1] + partial[2] + partial[3];
    }
}

extern "C" __global__ void wrong(int *partial, unsigned *ticket, int *out) { body<false>(partial, ticket, out); }

extern "C" __global__ void right(int *partial, unsigned *ticket, int *out) { body<true>(partial, ticket, out); }
