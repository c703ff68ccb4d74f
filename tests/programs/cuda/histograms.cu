// Histograms: atomics in global and in shared memory, private copies by thread, aggregated by warp, of bytes and floats.

extern "C" __global__ void global_atomics(const unsigned char* data, unsigned* bins, int count) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += blockDim.x * gridDim.x) atomicAdd(&bins[data[i]], 1);
}

extern "C" __global__ void shared_atomics(const unsigned char* data, unsigned* bins, int count) {
    __shared__ unsigned local[256];
    for (int bin = threadIdx.x; bin < 256; bin += blockDim.x) local[bin] = 0;
    __syncthreads();
    const uchar4* quads = (const uchar4*)data;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count / 4; i += blockDim.x * gridDim.x) {
        uchar4 quad = quads[i];
        atomicAdd(&local[quad.x], 1);
        atomicAdd(&local[quad.y], 1);
        atomicAdd(&local[quad.z], 1);
        atomicAdd(&local[quad.w], 1);
    }
    __syncthreads();
    for (int bin = threadIdx.x; bin < 256; bin += blockDim.x)
        if (local[bin]) atomicAdd(&bins[bin], local[bin]);
}

// 1024 bins of floats between two bounds, with what lies outside counted apart.
extern "C" __global__ void floats(const float* data, unsigned* bins, unsigned* outside, float low, float high, int count) {
    __shared__ unsigned local[1024];
    for (int bin = threadIdx.x; bin < 1024; bin += blockDim.x) local[bin] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        float x = data[i];
        if (!(x >= low && x < high)) {
            atomicInc(outside, 0xffffffff);
            continue;
        }
        int bin = (int)((x - low) / (high - low) * 1024.0f);
        atomicAdd(&local[min(bin, 1023)], 1);
    }
    __syncthreads();
    for (int bin = threadIdx.x; bin < 1024; bin += blockDim.x) bins[bin] = local[bin];
}

// Bytes as counters, four to a word, one column a thread: 64 threads of at most 255 items each.
extern "C" __global__ void private_bytes(const unsigned char* data, unsigned* bins, int each) {
    __shared__ unsigned char counters[64 * 64];
    unsigned* words = (unsigned*)counters;
    for (int i = threadIdx.x; i < 64 * 16; i += 64) words[i] = 0;
    __syncthreads();
    for (int i = 0; i < each; i++) counters[(data[i * 64 + threadIdx.x] >> 2) * 64 + threadIdx.x]++;
    __syncthreads();
    unsigned sum = 0;
    for (int i = 0; i < 64; i++) sum += counters[threadIdx.x * 64 + (threadIdx.x + i) % 64];
    bins[threadIdx.x] = sum;
}

// One atomic for all lanes of a warp with the same key.
extern "C" __global__ void aggregated(const int* keys, unsigned* bins) {
    int key = keys[blockIdx.x * blockDim.x + threadIdx.x];
    unsigned peers = __match_any_sync(__activemask(), key);
    int leader = __ffs(peers) - 1;
    if ((threadIdx.x & 31) == leader) atomicAdd(&bins[key], __popc(peers));
}

// The position that each item gets in its bin.
extern "C" __global__ void ranks(const int* keys, unsigned* bins, unsigned* positions) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    positions[i] = atomicAdd(&bins[keys[i]], 1u);
}

// Sums of values by key, in floats and doubles.
extern "C" __global__ void weighted(const int* keys, const float* weights, float* sums, double* wide, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) {
        atomicAdd(&sums[keys[i]], weights[i]);
        atomicAdd(&wide[keys[i]], (double)weights[i]);
    }
}
