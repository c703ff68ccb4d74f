// A bitonic sort with barriers around its phases only.
// launch: block 128
// arguments: in 512, zero 512
// checks: races
// expect: races line 17 block 0 thread 8 other 19 says shared memory: a read after a write by another lane
// expect: races line 17 block 0 thread 10 other 20 says shared memory: a read after a write by another lane
// expect: races line 19 block 0 thread 22 other 20 says shared memory: a write after a write by another lane
// expect: races line 20 block 0 thread 10 other 20 says shared memory: a write after a write by another lane
template <bool ordered> __device__ void body(const int *in, int *out) {
    __shared__ int keys[128];
    unsigned i = threadIdx.x;
    keys[i] = in[i] * 37 % 128;
    for (unsigned size = 2; size <= 128; size *= 2) {
        __syncthreads();
        for (unsigned stride = size / 2; stride > 0; stride /= 2) {
            unsigned other = i ^ stride;
            if (other > i && (keys[i] > keys[other]) == ((i & size) == 0)) {
                int key = keys[i];
                keys[i] = keys[other];
                keys[other] = key;
            }
            if (ordered)
                __syncthreads();
        }
    }
    __syncthreads();
    out[i] = keys[i];
}

extern "C" __global__ void wrong(const int *in, int *out) { body<false>(in, out); }

extern "C" __global__ void right(const int *in, int *out) { body<true>(in, out); }
