// Rows of 40 elements are addressed as if they had 48: beyond the buffer from the 54th row on.
// launch: grid 8 block 40,8
// arguments: zero 10240
// expect: memory line 7 says the allocation of 10240 bytes
extern "C" __global__ void wrong(float *image) {
    unsigned row = blockIdx.x * 8 + threadIdx.y;
    image[row * 48 + threadIdx.x] += 1.0f;
}

extern "C" __global__ void right(float *image) {
    unsigned row = blockIdx.x * 8 + threadIdx.y;
    image[row * 40 + threadIdx.x] += 1.0f;
}
