// A flag between blocks: a relaxed store promises nothing about what was written before it, a releasing one does.
// launch: grid 2 block 32
// arguments: zero 128, zero 4, zero 128
// checks: races
// expect: races line 19 block 1 thread 0 other 9 says global memory: a read after a write by another block
template <bool ordered> __device__ void body(int *values, int *flag, int *out) {
    unsigned i = threadIdx.x;
    if (blockIdx.x == 0) {
        values[i] = i;
        __syncwarp();
        if (i == 0 && ordered)
            asm volatile("st.release.gpu.global.s32 [%0], 1;" ::"l"(flag) : "memory");
        else if (i == 0)
            asm volatile("st.relaxed.gpu.global.s32 [%0], 1;" ::"l"(flag) : "memory");
    } else {
        int seen = 0;
        while (seen == 0)
            asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(seen) : "l"(flag) : "memory");
        out[i] = values[31 - i];
    }
}

extern "C" __global__ void wrong(int *values, int *flag, int *out) { body<false>(values, flag, out); }

extern "C" __global__ void right(int *values, int *flag, int *out) { body<true>(values, flag, out); }
