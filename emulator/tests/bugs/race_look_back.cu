// Each block waits for the sum of the one before; a sum is published by a flag, without a fence.
// launch: grid 4 block 32
// arguments: in 512, zero 16, zero 16
// checks: races
// expect: races line 13 block 1 thread 0 other 15 says global memory: a read after a write by another block
template <bool ordered> __device__ void body(const int *in, int *sums, volatile int *flags) {
    if (threadIdx.x == 0) {
        unsigned block = blockIdx.x;
        int sum = in[block];
        if (block > 0) {
            while (flags[block - 1] == 0) {
            }
            sum += sums[block - 1];
        }
        sums[block] = sum;
        if (ordered)
            __threadfence();
        flags[block] = 1;
    }
}

extern "C" __global__ void wrong(const int *in, int *sums, volatile int *flags) { body<false>(in, sums, flags); }

extern "C" __global__ void right(const int *in, int *sums, volatile int *flags) { body<true>(in, sums, flags); }
