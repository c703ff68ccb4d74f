// A tile of two warps passes values through memory that the system reserves; its threads do not meet between two rounds.
// launch: block 64
// arguments: in 256, fresh 256
// expect: races line 13 block 0 other 13
__device__ unsigned reserved() {
    unsigned start;
    asm("mov.u32 %0, %%reserved_smem_offset_1;" : "=r"(start));
    return start;
}

__device__ void put(unsigned value) {
    if (threadIdx.x % 32 == 0)
        asm volatile("st.shared.u32 [%0], %1;" ::"r"(reserved() + 32), "r"(value) : "memory");
}

__device__ unsigned get() {
    unsigned value;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(value) : "r"(reserved() + 32) : "memory");
    return value;
}

extern "C" __global__ void wrong(const unsigned *in, unsigned *out) {
    if (in[threadIdx.x] < 64) put(in[threadIdx.x]);
    __syncthreads();
    out[threadIdx.x] = get();
}

extern "C" __global__ void right(const unsigned *in, unsigned *out) {
    if (in[threadIdx.x] < 32) put(in[threadIdx.x]);
    __syncthreads();
    out[threadIdx.x] = get();
}
