// A thread takes memory of its stack for the elements that it will have, and writes one more.
// launch: block 32
// arguments: in 128, fresh 128
// expect: memory line 14 block 0 thread 3 says but a thread has
__device__ unsigned take(unsigned bytes) {
    unsigned place;
    asm volatile("alloca.u32 %0, %1, 16;" : "=r"(place) : "r"(bytes));
    return place;
}

extern "C" __global__ void wrong(const unsigned *in, unsigned *out) {
    unsigned count = threadIdx.x + 1, place = take(4 * count), sum = 0;
    for (unsigned i = 0; i <= count; i++)
        asm volatile("st.local.u32 [%0], %1;" ::"r"(place + 4 * i), "r"(in[i & 31]) : "memory");
    asm volatile("ld.local.u32 %0, [%1];" : "=r"(sum) : "r"(place) : "memory");
    out[threadIdx.x] = sum;
}

extern "C" __global__ void right(const unsigned *in, unsigned *out) {
    unsigned count = threadIdx.x + 1, place = take(4 * count), sum = 0;
    for (unsigned i = 0; i < count; i++)
        asm volatile("st.local.u32 [%0], %1;" ::"r"(place + 4 * i), "r"(in[i & 31]) : "memory");
    asm volatile("ld.local.u32 %0, [%1];" : "=r"(sum) : "r"(place) : "memory");
    out[threadIdx.x] = sum;
}
