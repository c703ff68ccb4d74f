// Sums, maxima and positions of arrays, by a tree in shared memory, by shuffles, by `redux`, by atomics,
// and in one pass whose last block finishes.

// The tree with sequential addressing: any power of two of threads.
extern "C" __global__ void tree_sum(const int* input, int* output, int count) {
    extern __shared__ int partial[];
    int thread = threadIdx.x;
    int index = blockIdx.x * blockDim.x + thread;
    partial[thread] = index < count ? input[index] : 0;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half >>= 1) {
        if (thread < half) partial[thread] += partial[thread + half];
        __syncthreads();
    }
    if (thread == 0) output[blockIdx.x] = partial[0];
}

// The first version everybody writes: interleaved addressing with a divergent modulo.
extern "C" __global__ void interleaved_sum(const int* input, int* output) {
    __shared__ int partial[256];
    unsigned thread = threadIdx.x;
    partial[thread] = input[blockIdx.x * blockDim.x + thread];
    __syncthreads();
    for (unsigned stride = 1; stride < blockDim.x; stride *= 2) {
        if (thread % (2 * stride) == 0) partial[thread] += partial[thread + stride];
        __syncthreads();
    }
    if (thread == 0) output[blockIdx.x] = partial[0];
}

template <typename T>
__device__ T warp_sum(T value) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffff, value, offset);
    return value;
}

// Warp sums by shuffles, then the first warp over the warps; grid-stride.
template <typename T>
__device__ void block_sum(const T* input, T* output, int count) {
    __shared__ T partial[32];
    T sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) sum += input[i];
    sum = warp_sum(sum);
    int lane = threadIdx.x % warpSize, warp = threadIdx.x / warpSize;
    if (lane == 0) partial[warp] = sum;
    __syncthreads();
    sum = threadIdx.x < blockDim.x / warpSize ? partial[lane] : T(0);
    if (warp == 0) sum = warp_sum(sum);
    if (threadIdx.x == 0) output[blockIdx.x] = sum;
}

extern "C" __global__ void shuffle_sum_f32(const float* input, float* output, int count) {
    block_sum(input, output, count);
}
extern "C" __global__ void shuffle_sum_f64(const double* input, double* output, int count) {
    block_sum(input, output, count);
}
extern "C" __global__ void shuffle_sum_u64(const unsigned long long* input, unsigned long long* output, int count) {
    block_sum(input, output, count);
}

// The maximum and its first position, as one 64-bit key.
extern "C" __global__ void arg_max(const float* input, unsigned long long* best, int count) {
    unsigned long long key = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        unsigned bits = __float_as_uint(input[i]);
        bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
        unsigned long long candidate = (unsigned long long)bits << 32 | (0xffffffffu - i);
        key = candidate > key ? candidate : key;
    }
    for (int mask = 16; mask > 0; mask /= 2) {
        unsigned long long other = __shfl_xor_sync(0xffffffff, key, mask);
        if (other > key) key = other;
    }
    if (threadIdx.x % 32 == 0) atomicMax(best, key);
}

// All the atomics of integers on one word each.
extern "C" __global__ void atomic_fold(const int* input, int* results, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int value = input[i];
    atomicAdd(&results[0], value);
    atomicMin(&results[1], value);
    atomicMax(&results[2], value);
    atomicAnd(&results[3], value);
    atomicOr(&results[4], value);
    atomicXor(&results[5], value);
    atomicSub(&results[6], value);
}

// One pass: the block that finishes last adds what all have left in memory.
__device__ unsigned finished = 0;

extern "C" __global__ void last_block_sum(const int* input, volatile int* partial, int* output, int count) {
    __shared__ int sums[8];
    __shared__ bool last;
    int sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) sum += input[i];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        int total = 0;
        for (int warp = 0; warp < blockDim.x / 32; warp++) total += sums[warp];
        partial[blockIdx.x] = total;
        __threadfence();
        unsigned ticket = atomicInc(&finished, gridDim.x);
        last = ticket == gridDim.x - 1;
    }
    __syncthreads();
    if (last) {
        if (threadIdx.x == 0) {
            int total = 0;
            for (int block = 0; block < gridDim.x; block++) total += partial[block];
            *output = total;
            finished = 0;
        }
    }
}

// Two dimensions: sums of rows, one warp a row, and of columns, one thread a column.
extern "C" __global__ void row_sums(const float* matrix, float* sums, int columns) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    float sum = 0;
    for (int column = threadIdx.x; column < columns; column += 32) sum += matrix[row * columns + column];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) sums[row] = sum;
}

extern "C" __global__ void column_sums(const float* matrix, float* sums, int rows, int columns) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    float sum = 0;
    for (int row = 0; row < rows; row++) sum += matrix[row * columns + column];
    sums[column] = sum;
}

// Vector norms with vector loads.
extern "C" __global__ void dot4(const float4* a, const float4* b, float* output, int count) {
    float sum = 0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        float4 x = a[i], y = b[i];
        sum += x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
    }
    sum = warp_sum(sum);
    if (threadIdx.x == 0) *output = sum;
}

// Counts by barriers that reduce.
extern "C" __global__ void barrier_votes(const int* input, int* output) {
    int value = input[blockIdx.x * blockDim.x + threadIdx.x];
    int count = __syncthreads_count(value > 0);
    int all = __syncthreads_and(value != 7);
    int any = __syncthreads_or(value == 3);
    if (threadIdx.x == 0) {
        output[3 * blockIdx.x] = count;
        output[3 * blockIdx.x + 1] = all != 0;
        output[3 * blockIdx.x + 2] = any != 0;
    }
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void redux(const int* input, int* output) {
    int value = input[blockIdx.x * 32 + threadIdx.x];
    int results[6] = {
        __reduce_add_sync(0xffffffff, value),
        __reduce_min_sync(0xffffffff, value),
        __reduce_max_sync(0xffffffff, value),
        (int)__reduce_and_sync(0xffffffff, (unsigned)value),
        (int)__reduce_or_sync(0xffffffff, (unsigned)value),
        (int)__reduce_xor_sync(0xffffffff, (unsigned)value),
    };
    if (threadIdx.x < 6) output[blockIdx.x * 6 + threadIdx.x] = results[threadIdx.x];
}
#endif
