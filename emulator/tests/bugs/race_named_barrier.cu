// A warp produces, another consumes, and they name different barriers.
// launch: block 64
// arguments: in 128, zero 128
// checks: races
// expect: races line 18 block 0 thread 32 other 10 says shared memory: a read after a write by another warp
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int buffer[32];
    unsigned lane = threadIdx.x % 32;
    if (threadIdx.x < 32) {
        buffer[lane] = in[lane];
        asm volatile("bar.arrive 1, 64;" ::: "memory");
        asm volatile("bar.sync 2, 32;" ::: "memory");
    } else {
        if (ordered)
            asm volatile("bar.sync 1, 64;" ::: "memory");
        else
            asm volatile("bar.sync 3, 32;" ::: "memory");
        out[lane] = buffer[31 - lane];
    }
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
