// A maximum of floats by compare and swap begins with a plain read, as the programming guide writes it; without the
// swap updates are lost.
// launch: grid 2 block 64
// arguments: in 512, zero 4
// checks: races
// expect: races line 25 block 0 thread 1 other 24 says shared memory: a write after a read by another lane
// expect: races line 25 block 0 thread 32 other 25 says shared memory: a write after a write by another warp
__device__ void maximum(float *place, float value) {
    int old = *(int *)place, seen;
    do {
        seen = old;
        old = atomicCAS((int *)place, seen, __float_as_int(fmaxf(value, __int_as_float(seen))));
    } while (old != seen);
}

template <bool ordered> __device__ void body(const int *in, float *out) {
    __shared__ float best;
    if (threadIdx.x == 0)
        best = 0;
    __syncthreads();
    float value = in[64 * blockIdx.x + threadIdx.x] % 37;
    if (ordered)
        maximum(&best, value);
    else if (best < value)
        best = value;
    __syncthreads();
    if (threadIdx.x == 0)
        maximum(out, best);
}

extern "C" __global__ void wrong(const int *in, float *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, float *out) { body<true>(in, out); }
