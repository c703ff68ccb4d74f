// Kernels that memory bounds, written after the published descriptions (see published.toml).

extern "C" __global__ void add_vectors(const float4* a, const float4* b, float4* c, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        float4 x = a[i], y = b[i];
        c[i] = make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w);
    }
}

// An element a thread; the partners of a step are picked by remainder, so that warps diverge.
extern "C" __global__ void sum_divergent(const float* x, float* out, int n) {
    __shared__ float sums[256];
    int i = blockIdx.x * 256 + threadIdx.x;
    sums[threadIdx.x] = i < n ? x[i] : 0.0f;
    __syncthreads();
    for (int s = 1; s < blockDim.x; s *= 2) {
        if (threadIdx.x % (2 * s) == 0) sums[threadIdx.x] += sums[threadIdx.x + s];
        __syncthreads();
    }
    if (threadIdx.x == 0) atomicAdd(out, sums[0]);
}

// Two elements a thread; the lower half of the threads takes the upper half's sums.
extern "C" __global__ void sum_halves(const float* x, float* out, int n) {
    __shared__ float sums[256];
    int i = blockIdx.x * 512 + threadIdx.x;
    sums[threadIdx.x] = (i < n ? x[i] : 0.0f) + (i + 256 < n ? x[i + 256] : 0.0f);
    __syncthreads();
    for (int s = blockDim.x / 2; s > 0; s /= 2) {
        if (threadIdx.x < s) sums[threadIdx.x] += sums[threadIdx.x + s];
        __syncthreads();
    }
    if (threadIdx.x == 0) atomicAdd(out, sums[0]);
}

__device__ __forceinline__ float sum_of_block(float sum) {
    __shared__ float sums[8];
    for (int o = 16; o > 0; o /= 2) sum += __shfl_xor_sync(~0u, sum, o);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < blockDim.x / 32 ? sums[threadIdx.x] : 0.0f;
        for (int o = 4; o > 0; o /= 2) sum += __shfl_xor_sync(~0u, sum, o);
    }
    return sum;
}

// As before, with shuffles.
extern "C" __global__ void sum_shuffled(const float* x, float* out, int n) {
    int i = blockIdx.x * 512 + threadIdx.x;
    float sum = sum_of_block((i < n ? x[i] : 0.0f) + (i + 256 < n ? x[i + 256] : 0.0f));
    if (threadIdx.x == 0) atomicAdd(out, sum);
}

// A grid that just fills the device walks over the data.
extern "C" __global__ void sum_strided(const float* x, float* out, int n) {
    float sum = 0.0f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += x[i];
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) atomicAdd(out, sum);
}

// Softmax of rows, one thread a row in three passes.
extern "C" __global__ void softmax_threads(const float* x, float* y, int rows, int columns) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    x += (size_t)row * columns;
    y += (size_t)row * columns;
    float most = -3.4e38f, sum = 0.0f;
    for (int i = 0; i < columns; i++) most = fmaxf(most, x[i]);
    for (int i = 0; i < columns; i++) sum += __expf(x[i] - most);
    for (int i = 0; i < columns; i++) y[i] = __expf(x[i] - most) / sum;
}

// One block a row, both reductions as trees in shared memory.
extern "C" __global__ void softmax_trees(const float* x, float* y, int rows, int columns) {
    __shared__ float tree[256];
    x += (size_t)blockIdx.x * columns;
    y += (size_t)blockIdx.x * columns;
    float most = -3.4e38f, sum = 0.0f;
    for (int i = threadIdx.x; i < columns; i += 256) most = fmaxf(most, x[i]);
    tree[threadIdx.x] = most;
    __syncthreads();
    for (int s = 128; s > 0; s /= 2) {
        if (threadIdx.x < s) tree[threadIdx.x] = fmaxf(tree[threadIdx.x], tree[threadIdx.x + s]);
        __syncthreads();
    }
    most = tree[0];
    __syncthreads();
    for (int i = threadIdx.x; i < columns; i += 256) sum += __expf(x[i] - most);
    tree[threadIdx.x] = sum;
    __syncthreads();
    for (int s = 128; s > 0; s /= 2) {
        if (threadIdx.x < s) tree[threadIdx.x] += tree[threadIdx.x + s];
        __syncthreads();
    }
    sum = tree[0];
    for (int i = threadIdx.x; i < columns; i += 256) y[i] = __expf(x[i] - most) / sum;
}
