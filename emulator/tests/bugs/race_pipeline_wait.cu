// A pipeline of cp.async that waits for one group too few.
// launch: block 64
// arguments: in 16384, zero 256
// checks: races
// expect: races line 32 block 0 thread 0 other 9 says not been waited for

__device__ void copy(void *to, const void *from) {
    unsigned place = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(place), "l"(from) : "memory");
}

__device__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int pending> __device__ void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory"); }

// Three stages of 256 words; a step reads one while the next but one is under way.
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ __align__(16) int stages[3][256];
    unsigned i = threadIdx.x;
    int sum = 0;
    for (unsigned step = 0; step < 2; ++step) {
        copy(&stages[step][4 * i], in + 256 * step + 4 * i);
        commit();
    }
    for (unsigned step = 0; step < 16; ++step) {
        wait<ordered ? 1 : 2>();
        __syncthreads();
        if (step + 2 < 16)
            copy(&stages[(step + 2) % 3][4 * i], in + 256 * (step + 2) + 4 * i);
        commit();
        for (unsigned k = 0; k < 4; ++k)
            sum += stages[step % 3][(i + 64 * k + 37) % 256];
    }
    out[i] = sum;
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
