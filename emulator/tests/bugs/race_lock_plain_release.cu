// A lock is let go by a plain store, which nothing orders with the atomics of those who wait.
// launch: grid 4 block 32
// arguments: zero 4, zero 8
// checks: races
// expect: races line 10 block 1 thread 0 other 19 says global memory: an atomic after a write by another block
// expect: races line 13 block 1 thread 0 other 13 says global memory: a write after a write by another block
// expect: races line 14 block 1 thread 0 other 14 says global memory: a read after a write by another block
template <bool ordered> __device__ void body(int *lock, int *total) {
    if (threadIdx.x == 0) {
        while (atomicCAS(lock, 0, 1) != 0) {
        }
        __threadfence();
        total[0] += blockIdx.x;
        total[1] += 1;
        __threadfence();
        if (ordered)
            atomicExch(lock, 0);
        else
            *lock = 0;
    }
}

extern "C" __global__ void wrong(int *lock, int *total) { body<false>(lock, total); }

extern "C" __global__ void right(int *lock, int *total) { body<true>(lock, total); }
