// A ring of one buffer between two warps: the producer does not wait until it is empty again.
// launch: block 64
// arguments: in 512, zero 128
// checks: races
// expect: races line 22 block 0 thread 32 other 13 says shared memory: a read after a write by another warp
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int buffer[32];
    unsigned lane = threadIdx.x % 32;
    if (threadIdx.x < 32) {
        for (unsigned step = 0; step < 4; ++step) {
            if (ordered)
                asm volatile("bar.sync 2, 64;" ::: "memory");
            buffer[lane] = in[32 * step + lane];
            asm volatile("bar.sync 1, 64;" ::: "memory");
        }
    } else {
        int sum = 0;
        for (unsigned step = 0; step < 4; ++step) {
            if (ordered)
                asm volatile("bar.arrive 2, 64;" ::: "memory");
            asm volatile("bar.sync 1, 64;" ::: "memory");
            sum += buffer[31 - lane];
        }
        out[lane] = sum;
    }
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
