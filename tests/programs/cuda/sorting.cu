// Sorting: bitonic in shared memory and between warps' registers, odd-even, merge, radix, rank, and quicksort with a
// stack of its own.

extern "C" __global__ void bitonic_shared(unsigned* keys, unsigned* values) {
    __shared__ unsigned key[512], value[512];
    int thread = threadIdx.x;
    for (int i = thread; i < 512; i += blockDim.x) {
        key[i] = keys[blockIdx.x * 512 + i];
        value[i] = values[blockIdx.x * 512 + i];
    }
    for (unsigned size = 2; size <= 512; size <<= 1) {
        for (unsigned stride = size / 2; stride > 0; stride >>= 1) {
            __syncthreads();
            unsigned position = 2 * thread - (thread & (stride - 1));
            bool ascending = (position & size) == 0;
            if ((key[position] > key[position + stride]) == ascending) {
                unsigned swap = key[position];
                key[position] = key[position + stride];
                key[position + stride] = swap;
                swap = value[position];
                value[position] = value[position + stride];
                value[position + stride] = swap;
            }
        }
    }
    __syncthreads();
    for (int i = thread; i < 512; i += blockDim.x) {
        keys[blockIdx.x * 512 + i] = key[i];
        values[blockIdx.x * 512 + i] = value[i];
    }
}

// A warp sorts 32 floats without memory.
extern "C" __global__ void bitonic_warp(float* data) {
    int lane = threadIdx.x & 31, index = blockIdx.x * blockDim.x + threadIdx.x;
    float x = data[index];
#pragma unroll
    for (int size = 2; size <= 32; size *= 2) {
#pragma unroll
        for (int stride = size / 2; stride > 0; stride /= 2) {
            float other = __shfl_xor_sync(~0u, x, stride);
            bool up = (lane & size) == 0, lower = (lane & stride) == 0;
            x = up == lower ? fminf(x, other) : fmaxf(x, other);
        }
    }
    data[index] = x;
}

extern "C" __global__ void odd_even(short* data, int count) {
    extern __shared__ short shorts[];
    int thread = threadIdx.x;
    for (int i = thread; i < count; i += blockDim.x) shorts[i] = data[i];
    __syncthreads();
    for (int round = 0; round < count; round++) {
        int i = 2 * thread + (round & 1);
        if (i + 1 < count && shorts[i] > shorts[i + 1]) {
            short swap = shorts[i];
            shorts[i] = shorts[i + 1];
            shorts[i + 1] = swap;
        }
        __syncthreads();
    }
    for (int i = thread; i < count; i += blockDim.x) data[i] = shorts[i];
}

// Every element finds its place in the merge of two sorted runs by a search in the other.
extern "C" __global__ void merge_pass(const long long* from, long long* to, int run, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int pair = i / (2 * run) * (2 * run);
    bool left = i - pair < run;
    int other = left ? min(pair + run, count) : pair, end = left ? min(pair + 2 * run, count) : pair + run;
    long long value = from[i];
    int low = other, high = end;
    while (low < high) {
        int middle = (low + high) / 2;
        bool before = left ? from[middle] < value : from[middle] <= value;
        if (before) low = middle + 1;
        else high = middle;
    }
    int place = left ? i + (low - other) : (i - run) + (low - other);
    to[place] = value;
}

// One pass of a radix sort by four bits in one block: stable ranks from ballots of each digit.
extern "C" __global__ void radix_pass(const unsigned* from, unsigned* to, int shift) {
    __shared__ unsigned counts[16][8];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned key = from[threadIdx.x], digit = key >> shift & 15;
    unsigned peers = ~0u;
    for (int bit = 0; bit < 4; bit++) {
        unsigned votes = __ballot_sync(~0u, digit >> bit & 1);
        peers &= digit >> bit & 1 ? votes : ~votes;
    }
    if (lane < 16) counts[lane][warp] = 0;
    __syncwarp();
    if (lane == 31 - __clz(peers)) counts[digit][warp] = __popc(peers);
    __syncthreads();
    if (threadIdx.x < 128) {
        // The exclusive scan of 16 x 8 counts by four warps, one after the other.
        __shared__ unsigned warp_totals[4];
        unsigned* flat = &counts[0][0];
        unsigned count = flat[threadIdx.x], sum = count;
        for (int offset = 1; offset < 32; offset *= 2) {
            unsigned other = __shfl_up_sync(~0u, sum, offset);
            if (lane >= offset) sum += other;
        }
        if (lane == 31) warp_totals[warp] = sum;
        asm volatile("bar.sync 1, 128;" ::: "memory");
        for (int w = 0; w < warp; w++) sum += warp_totals[w];
        flat[threadIdx.x] = sum - count;
    }
    __syncthreads();
    unsigned lower;
    asm("mov.u32 %0, %%lanemask_lt;" : "=r"(lower));
    to[counts[digit][warp] + __popc(peers & lower)] = key;
}

// Each element counts those before it.
extern "C" __global__ void rank_sort(const float* from, float* to, int count) {
    __shared__ float tile[64];
    int i = blockIdx.x * blockDim.x + threadIdx.x, rank = 0;
    float mine = i < count ? from[i] : 0;
    for (int start = 0; start < count; start += 64) {
        if (start + threadIdx.x < count) tile[threadIdx.x] = from[start + threadIdx.x];
        __syncthreads();
        for (int j = 0; j < min(64, count - start); j++)
            rank += tile[j] < mine || (tile[j] == mine && start + j < i);
        __syncthreads();
    }
    if (i < count) to[rank] = mine;
}

// A thread a row, with the bounds still to do in local memory.
extern "C" __global__ void quicksort_rows(int* rows, int length) {
    int* data = rows + (blockIdx.x * blockDim.x + threadIdx.x) * length;
    int stack[64], top = 0;
    stack[top++] = 0;
    stack[top++] = length - 1;
    while (top > 0) {
        int high = stack[--top], low = stack[--top];
        if (low >= high) continue;
        int pivot = data[(low + high) / 2], i = low, j = high;
        while (i <= j) {
            while (data[i] < pivot) i++;
            while (data[j] > pivot) j--;
            if (i <= j) {
                int swap = data[i];
                data[i++] = data[j];
                data[j--] = swap;
            }
        }
        // The shorter part last, so that the stack stays short.
        if (j - low > high - i) {
            stack[top++] = low;
            stack[top++] = j;
            stack[top++] = i;
            stack[top++] = high;
        } else {
            stack[top++] = i;
            stack[top++] = high;
            stack[top++] = low;
            stack[top++] = j;
        }
    }
}
