// A stencil reads the neighbour behind the last element.
// launch: grid 2,2 block 16,16
// arguments: in 4096, fresh 4096, u32 32
// expect: memory line 7 block 0,1 thread 0,15 says past the end of the allocation of 4096 bytes
extern "C" __global__ void wrong(const float *in, float *out, unsigned width) {
    unsigned x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    float below = in[(y + 1) * width + x];
    out[y * width + x] = 0.5f * (in[y * width + x] + below);
}

extern "C" __global__ void right(const float *in, float *out, unsigned width) {
    unsigned x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    float below = in[min(y + 1, width - 1) * width + x];
    out[y * width + x] = 0.5f * (in[y * width + x] + below);
}
