// A cp.async overwrites a buffer that other warps may still be reading.
// launch: block 64
// arguments: in 2048, zero 256
// checks: races
// expect: races line 9 block 0 thread 48 other 23 says shared memory: a cp.async after a read by another lane

__device__ void copy(void *to, const void *from) {
    unsigned place = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(place), "l"(from) : "memory");
}

__device__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int pending> __device__ void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory"); }

template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ __align__(16) int buffer[256];
    unsigned i = threadIdx.x;
    copy(&buffer[4 * i], in + 4 * i);
    commit();
    wait<0>();
    __syncthreads();
    int sum = buffer[255 - i];
    if (ordered)
        __syncthreads();
    copy(&buffer[4 * i], in + 256 + 4 * i);
    commit();
    wait<0>();
    __syncthreads();
    out[i] = sum + buffer[255 - i];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
