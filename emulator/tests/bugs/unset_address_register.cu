// An offset that only one way through the code computes is used on both.
// launch: block 32
// arguments: in 128, zero 256
// expect: initialised line 6 block 0 thread 0 says is part of an address
__device__ void store(unsigned *out, unsigned offset) {
    out[offset & 31] = offset & 31;
}

extern "C" __global__ void wrong(const unsigned *in, unsigned *out) {
    unsigned offset;
    asm volatile("{ .reg .pred p; .reg .u32 x; setp.gt.u32 p, %1, 3; @p add.u32 x, %1, 0; mov.u32 %0, x; }"
                 : "=r"(offset) : "r"(in[threadIdx.x]));
    store(out + (threadIdx.x & 32), offset);
}

extern "C" __global__ void right(const unsigned *in, unsigned *out) {
    unsigned offset;
    asm volatile("{ .reg .pred p; .reg .u32 x; setp.gt.u32 p, %1, 3; @p add.u32 x, %1, 0; @!p mov.u32 x, %1; "
                 "mov.u32 %0, x; }"
                 : "=r"(offset) : "r"(in[threadIdx.x]));
    store(out + (threadIdx.x & 32), offset);
}
