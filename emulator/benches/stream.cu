// Kernels that do little but move memory, as people write them; `stream.ptx` is NVRTC 12.9's output for compute_80.

// y = a x + y, a number a thread in turn.
extern "C" __global__ void axpy(float* y, const float* __restrict__ x, float a, unsigned count) {
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        y[i] = a * x[i] + y[i];
    }
}

// y = x, sixteen bytes a thread in turn.
extern "C" __global__ void copy(float4* __restrict__ y, const float4* __restrict__ x, unsigned count) {
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        y[i] = x[i];
    }
}

// The sum of every block's share of x: four numbers a thread in turn, then a tree over warps and shared memory.
extern "C" __global__ void sum(float* __restrict__ sums, const float4* __restrict__ x, unsigned count) {
    __shared__ float partial[32];
    float total = 0;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        float4 v = x[i];
        total += (v.x + v.y) + (v.z + v.w);
    }
    for (int offset = 16; offset; offset /= 2) {
        total += __shfl_xor_sync(0xffffffff, total, offset);
    }
    if (threadIdx.x % 32 == 0) {
        partial[threadIdx.x / 32] = total;
    }
    __syncthreads();
    if (threadIdx.x < 32) {
        total = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0;
        for (int offset = 16; offset; offset /= 2) {
            total += __shfl_xor_sync(0xffffffff, total, offset);
        }
        if (threadIdx.x == 0) {
            sums[blockIdx.x] = total;
        }
    }
}
