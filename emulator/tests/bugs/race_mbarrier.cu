// Threads arrive at a barrier object, and some of them read what others wrote without waiting for its phase to end.
// launch: block 64
// arguments: in 256, fresh 256
// expect: races line 29 block 0 other 25
__device__ unsigned place(const void *object) {
    return (unsigned)__cvta_generic_to_shared(object);
}

__device__ unsigned long long arrive(const unsigned long long *barrier) {
    unsigned long long state;
    asm volatile("mbarrier.arrive.shared.b64 %0, [%1];" : "=l"(state) : "r"(place(barrier)) : "memory");
    return state;
}

__device__ bool ended(const unsigned long long *barrier, unsigned long long state) {
    unsigned yes;
    asm volatile("{ .reg .pred p; mbarrier.test_wait.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                 : "=r"(yes) : "r"(place(barrier)), "l"(state) : "memory");
    return yes;
}

__device__ void exchange(const unsigned *in, unsigned *out, unsigned long long *barrier, unsigned *room, int waiting) {
    if (threadIdx.x == 0) asm volatile("mbarrier.init.shared.b64 [%0], 64;" ::"r"(place(barrier)) : "memory");
    __syncthreads();
    room[threadIdx.x] = in[threadIdx.x];
    unsigned long long state = arrive(barrier);
    if (threadIdx.x < waiting)
        while (!ended(barrier, state)) {}
    out[threadIdx.x] = room[63 - threadIdx.x];
}

extern "C" __global__ void wrong(const unsigned *in, unsigned *out) {
    __shared__ unsigned long long barrier;
    __shared__ unsigned room[64];
    exchange(in, out, &barrier, room, in[32]);
}

extern "C" __global__ void right(const unsigned *in, unsigned *out) {
    __shared__ unsigned long long barrier;
    __shared__ unsigned room[64];
    exchange(in, out, &barrier, room, in[32] + 32);
}
