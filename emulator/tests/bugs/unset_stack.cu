// Memory taken from the stack in each round of a loop is new in each: what the round before wrote is no value.
// launch: block 32
// arguments: in 128, fresh 128
// expect: initialised line 18 block 0 other 17 says from local memory that was never written
__device__ unsigned take(unsigned bytes) {
    unsigned place;
    asm volatile("alloca.u32 %0, %1;" : "=r"(place) : "r"(bytes));
    return place;
}

extern "C" __global__ void wrong(const unsigned *in, unsigned *out) {
    unsigned saved, sum = 0;
    asm volatile("stacksave.u32 %0;" : "=r"(saved));
    for (unsigned i = 0; i < 2; i++) {
        unsigned place = take(64), value;
        if (i == 0) asm volatile("st.local.u32 [%0+32], %1;" ::"r"(place), "r"(in[threadIdx.x]) : "memory");
        asm volatile("ld.local.u32 %0, [%1+32];" : "=r"(value) : "r"(place) : "memory");
        sum = sum * 3 + value;
        out[threadIdx.x] = sum;
        asm volatile("stackrestore.u32 %0;" ::"r"(saved) : "memory");
    }
}

extern "C" __global__ void right(const unsigned *in, unsigned *out) {
    unsigned saved, sum = 0;
    asm volatile("stacksave.u32 %0;" : "=r"(saved));
    for (unsigned i = 0; i < 2; i++) {
        unsigned place = take(64), value;
        asm volatile("st.local.u32 [%0+32], %1;" ::"r"(place), "r"(in[threadIdx.x]) : "memory");
        asm volatile("ld.local.u32 %0, [%1+32];" : "=r"(value) : "r"(place) : "memory");
        sum = sum * 3 + value;
        out[threadIdx.x] = sum;
        asm volatile("stackrestore.u32 %0;" ::"r"(saved) : "memory");
    }
}
