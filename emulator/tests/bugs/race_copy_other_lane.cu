// A lane reads what another lane's cp.async brings: it was waited for, but nothing makes the lanes meet.
// arguments: in 512, zero 128
// checks: races
// expect: races line 23 block 0 thread 0 other 8 says shared memory: a read after a cp.async by another lane

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
    wait<0>();
    if (ordered)
        __syncwarp();
    out[i] = buffer[127 - i];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
