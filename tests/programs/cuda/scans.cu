// Prefix sums: Hillis-Steele, Blelloch, by warps, in three launches, and in one pass with decoupled look-back.

extern "C" __global__ void hillis_steele(const int* input, int* output) {
    extern __shared__ int buffer[];
    int n = blockDim.x, thread = threadIdx.x, in = 1, out = 0;
    buffer[thread] = input[thread];
    __syncthreads();
    for (int offset = 1; offset < n; offset *= 2) {
        out = 1 - out;
        in = 1 - out;
        int value = buffer[in * n + thread];
        if (thread >= offset) value += buffer[in * n + thread - offset];
        buffer[out * n + thread] = value;
        __syncthreads();
    }
    output[thread] = buffer[out * n + thread];
}

// Work-efficient and exclusive, with padding against bank conflicts.
__device__ __forceinline__ int padded(int index) { return index + (index >> 5); }

extern "C" __global__ void blelloch(const int* input, int* output, int n) {
    extern __shared__ int tree[];
    int thread = threadIdx.x, offset = 1;
    int first = thread, second = thread + n / 2;
    tree[padded(first)] = input[first];
    tree[padded(second)] = input[second];
    for (int d = n >> 1; d > 0; d >>= 1) {
        __syncthreads();
        if (thread < d) {
            int left = padded(offset * (2 * thread + 1) - 1), right = padded(offset * (2 * thread + 2) - 1);
            tree[right] += tree[left];
        }
        offset *= 2;
    }
    if (thread == 0) tree[padded(n - 1)] = 0;
    for (int d = 1; d < n; d *= 2) {
        offset >>= 1;
        __syncthreads();
        if (thread < d) {
            int left = padded(offset * (2 * thread + 1) - 1), right = padded(offset * (2 * thread + 2) - 1);
            int value = tree[left];
            tree[left] = tree[right];
            tree[right] += value;
        }
    }
    __syncthreads();
    output[first] = tree[padded(first)];
    output[second] = tree[padded(second)];
}

template <typename T>
__device__ T warp_scan(T value) {
    int lane = threadIdx.x & 31;
    for (int offset = 1; offset < 32; offset <<= 1) {
        T other = __shfl_up_sync(0xffffffffu, value, offset);
        if (lane >= offset) value += other;
    }
    return value;
}

// Inclusive over the block; `total` receives the sum.
template <typename T, int WARPS>
__device__ T block_scan(T value, T& total) {
    __shared__ T sums[WARPS];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    value = warp_scan(value);
    if (lane == 31) sums[warp] = value;
    __syncthreads();
    if (warp == 0) {
        T sum = lane < WARPS ? sums[lane] : T(0);
        sum = warp_scan(sum);
        if (lane < WARPS) sums[lane] = sum;
    }
    __syncthreads();
    if (warp > 0) value += sums[warp - 1];
    total = sums[WARPS - 1];
    __syncthreads();
    return value;
}

extern "C" __global__ void scan_blocks(const unsigned* input, unsigned* output, unsigned* totals, int count) {
    int index = blockIdx.x * 256 + threadIdx.x;
    unsigned total, value = block_scan<unsigned, 8>(index < count ? input[index] : 0, total);
    if (index < count) output[index] = value;
    if (threadIdx.x == 0 && totals) totals[blockIdx.x] = total;
}

extern "C" __global__ void add_before(unsigned* output, const unsigned* scanned, int count) {
    int index = blockIdx.x * 256 + threadIdx.x;
    if (blockIdx.x > 0 && index < count) output[index] += scanned[blockIdx.x - 1];
}

extern "C" __global__ void scan_f64(const double* input, double* output) {
    double total, value = block_scan<double, 4>(input[threadIdx.x], total);
    output[threadIdx.x] = value;
    if (threadIdx.x == 0) output[blockDim.x] = total;
}

// One pass: each tile publishes its sum, then its prefix, and looks back over its predecessors.
#define AGGREGATE 1ull
#define PREFIX 2ull

__device__ unsigned next_tile;

extern "C" __global__ void look_back(const unsigned* input, unsigned* output, volatile unsigned long long* states,
                                     int count) {
    __shared__ unsigned tile, before;
    if (threadIdx.x == 0) tile = atomicAdd(&next_tile, 1);
    __syncthreads();
    int index = tile * 128 + threadIdx.x;
    unsigned total, value = block_scan<unsigned, 4>(index < count ? input[index] : 0, total);
    if (threadIdx.x == 0) {
        unsigned exclusive = 0;
        if (tile > 0) {
            states[tile] = (unsigned long long)total << 2 | AGGREGATE;
            int other = tile - 1;
            while (true) {
                unsigned long long state = states[other];
                if ((state & 3) == 0) continue;
                exclusive += (unsigned)(state >> 2);
                if ((state & 3) == PREFIX) break;
                other--;
            }
        }
        __threadfence();
        states[tile] = (unsigned long long)(exclusive + total) << 2 | PREFIX;
        before = exclusive;
    }
    __syncthreads();
    if (index < count) output[index] = before + value;
}

// Keeps the elements that pass, in order, by ballots and a scan of the warps' counts.
extern "C" __global__ void compact(const int* input, int* output, int* kept) {
    __shared__ int counts[32];
    int value = input[threadIdx.x];
    bool keep = value % 3 == 0;
    unsigned votes = __ballot_sync(~0u, keep);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (lane == 0) counts[warp] = __popc(votes);
    __syncthreads();
    int start = 0;
    for (int i = 0; i < warp; i++) start += counts[i];
    if (keep) output[start + __popc(votes & ((1u << lane) - 1))] = value;
    if (threadIdx.x == blockDim.x - 1) *kept = start + counts[warp];
}

// Sums within segments that start where a flag is set.
extern "C" __global__ void segmented(const int* values, const unsigned char* heads, int* output) {
    int lane = threadIdx.x % 32;
    int value = values[blockIdx.x * 32 + lane];
    bool head = heads[blockIdx.x * 32 + lane] || lane == 0;
    for (int offset = 1; offset < 32; offset *= 2) {
        int other = __shfl_up_sync(~0u, value, offset);
        int other_head = __shfl_up_sync(~0u, (int)head, offset);
        if (lane >= offset && !head) {
            value += other;
            head = other_head;
        }
    }
    output[blockIdx.x * 32 + lane] = value;
}
