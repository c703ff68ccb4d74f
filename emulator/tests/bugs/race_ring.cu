// A ring between a producing and a consuming warp: its head moves before the entry is visible.
// launch: block 64
// arguments: in 128, zero 128
// checks: races
// expect: races line 23 block 0 thread 32 other 14 says shared memory: a read after a write by another warp
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int entries[32];
    __shared__ volatile int head;
    if (threadIdx.x == 0)
        head = 0;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int step = 0; step < 32; ++step) {
            entries[step] = in[step];
            if (ordered)
                __threadfence_block();
            head = step + 1;
        }
    } else if (threadIdx.x == 32) {
        for (int step = 0; step < 32; ++step) {
            while (head <= step) {
            }
            out[step] = entries[step];
        }
    }
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
