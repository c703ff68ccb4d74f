// A thread reads what its own cp.async brings, without waiting.
// arguments: in 512, zero 512
// checks: races
// expect: races line 23 block 0 thread 0 other 8 says not been waited for

__device__ void copy(void *to, const void *from) {
    unsigned place = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(place), "l"(from) : "memory");
}

__device__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int pending> __device__ void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory"); }

template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ __align__(16) int buffer[128];
    unsigned i = threadIdx.x;
    copy(&buffer[4 * i], in + 4 * i);
    commit();
    if (ordered)
        wait<0>();
    for (unsigned k = 0; k < 4; ++k)
        out[4 * i + k] = buffer[4 * i + k];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
