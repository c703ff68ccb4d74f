// A gather goes by indices of which the last were never computed.
// launch: block 32
// arguments: in 128, fresh 128, fresh 128
// expect: initialised line 9 block 0 thread 30 other 9 says is part of an address
extern "C" __global__ void wrong(const int *in, unsigned *index, int *out) {
    if (threadIdx.x < 30)
        index[threadIdx.x] = 31 - threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = in[index[threadIdx.x] & 31];
}

extern "C" __global__ void right(const int *in, unsigned *index, int *out) {
    index[threadIdx.x] = 31 - threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = in[index[threadIdx.x] & 31];
}
