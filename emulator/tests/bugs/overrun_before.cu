// A difference with the element before forgets that the first has none.
// launch: grid 2 block 32
// arguments: in 256, fresh 256
// expect: memory line 7 block 0 thread 0 says 4 bytes before the allocation of 256 bytes
extern "C" __global__ void wrong(const int *in, int *out) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = in[i] - in[i - 1];
}

extern "C" __global__ void right(const int *in, int *out) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = in[i] - (i > 0 ? in[i - 1] : 0);
}
