// The lanes of a warp take turns with a lock; without a fence the next one may see old data.
// arguments: zero 4, zero 4
// checks: races
// expect: races line 9 block 0 thread 1 other 9 says global memory: a write after a write by another lane
template <bool ordered> __device__ void body(int *lock, int *total) {
    bool done = false;
    while (!done) {
        if (atomicCAS(lock, 0, 1) == 0) {
            *total += threadIdx.x;
            if (ordered)
                __threadfence();
            atomicExch(lock, 0);
            done = true;
        }
    }
}

extern "C" __global__ void wrong(int *lock, int *total) { body<false>(lock, total); }

extern "C" __global__ void right(int *lock, int *total) { body<true>(lock, total); }
