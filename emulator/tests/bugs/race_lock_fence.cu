// A lock between blocks is let go without a fence: the next owner may see old data.
// launch: grid 4 block 32
// arguments: zero 4, zero 8
// checks: races
// expect: races line 12 block 1 thread 0 other 12 says global memory: a write after a write by another block
// expect: races line 13 block 1 thread 0 other 13 says global memory: a read after a write by another block
template <bool ordered> __device__ void body(int *lock, int *total) {
    if (threadIdx.x == 0) {
        while (atomicCAS(lock, 0, 1) != 0) {
        }
        __threadfence();
        total[0] += blockIdx.x;
        total[1] += 1;
        if (ordered)
            __threadfence();
        atomicExch(lock, 0);
    }
}

extern "C" __global__ void wrong(int *lock, int *total) { body<false>(lock, total); }

extern "C" __global__ void right(int *lock, int *total) { body<true>(lock, total); }
