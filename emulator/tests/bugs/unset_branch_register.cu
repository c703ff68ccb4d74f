// A variable is set in a loop that may not run, and decides afterwards.
// launch: block 32
// arguments: zero 128, zero 128
// expect: initialised line 9 block 0 thread 0 says never written
extern "C" __global__ void wrong(const unsigned *in, unsigned *out) {
    unsigned found;
    asm volatile("{ .reg .pred p; .reg .u32 x; setp.ne.u32 p, %1, 0; @p mov.u32 x, %1; mov.u32 %0, x; }"
                 : "=r"(found) : "r"(in[threadIdx.x]));
    if (found > 3)
        atomicAdd(out + threadIdx.x, 1u);
    else
        out[threadIdx.x ^ 1] = 7;
}

extern "C" __global__ void right(const unsigned *in, unsigned *out) {
    unsigned found;
    asm volatile("{ .reg .pred p; .reg .u32 x; setp.ne.u32 p, %1, 0; mov.u32 x, 0; @p mov.u32 x, %1; mov.u32 %0, x; }"
                 : "=r"(found) : "r"(in[threadIdx.x]));
    if (found > 3)
        atomicAdd(out + threadIdx.x, 1u);
    else
        out[threadIdx.x] = 7;
}
