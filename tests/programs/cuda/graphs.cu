// Irregular work: breadth-first search with queues, shortest paths, connected components, sparse products, hash tables,
// work queues, linked lists.

struct Graph {
    const int* offsets;
    const int* edges;
    const float* weights;
    int nodes;
};

// One level: neighbours that were not seen go to the next queue.
extern "C" __global__ void expand(Graph graph, int* distances, const int* queue, int queued, int* next, int* next_count, int level) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= queued) return;
    int node = queue[i];
    for (int edge = graph.offsets[node]; edge < graph.offsets[node + 1]; edge++) {
        int neighbour = graph.edges[edge];
        if (atomicCAS(&distances[neighbour], -1, level) == -1) next[atomicAdd(next_count, 1)] = neighbour;
    }
}

__device__ float atomic_min_float(float* address, float value) {
    int old = __float_as_int(*address), assumed;
    do {
        assumed = old;
        if (__int_as_float(assumed) <= value) break;
        old = atomicCAS((int*)address, assumed, __float_as_int(value));
    } while (old != assumed);
    return __int_as_float(old);
}

// Bellman and Ford: until nothing changes.
extern "C" __global__ void relax(Graph graph, float* distances, int* changed) {
    int node = blockIdx.x * blockDim.x + threadIdx.x;
    if (node >= graph.nodes) return;
    float here = distances[node];
    for (int edge = graph.offsets[node]; edge < graph.offsets[node + 1]; edge++) {
        float length = here + graph.weights[edge];
        if (length < atomic_min_float(&distances[graph.edges[edge]], length)) *changed = 1;
    }
}

// Components by union and find, with path halving.
__device__ int root_of(volatile int* parents, int node) {
    while (parents[node] != node) {
        int parent = parents[node];
        parents[node] = parents[parent];
        node = parent;
    }
    return node;
}

extern "C" __global__ void unite(const int2* edges, int* parents, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int a = edges[i].x, b = edges[i].y;
    while (true) {
        a = root_of(parents, a);
        b = root_of(parents, b);
        if (a == b) return;
        if (a < b) {
            int swap = a;
            a = b;
            b = swap;
        }
        if (atomicCAS(&parents[a], a, b) == a) return;
    }
}

extern "C" __global__ void flatten(int* parents, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) *(volatile int*)&parents[i] = root_of(parents, i);
}

extern "C" __global__ void spmv_scalar(Graph matrix, const float* x, float* y) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= matrix.nodes) return;
    float sum = 0;
    for (int i = matrix.offsets[row]; i < matrix.offsets[row + 1]; i++) sum += matrix.weights[i] * x[matrix.edges[i]];
    y[row] = sum;
}

// A sub-warp of eight lanes a row.
extern "C" __global__ void spmv_vector(Graph matrix, const float* x, float* y) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 8, lane = threadIdx.x % 8;
    if (row >= matrix.nodes) return;
    unsigned group = 0xffu << (threadIdx.x & 24);
    float sum = 0;
    for (int i = matrix.offsets[row] + lane; i < matrix.offsets[row + 1]; i += 8) sum += matrix.weights[i] * __ldg(x + matrix.edges[i]);
    for (int offset = 4; offset; offset /= 2) sum += __shfl_down_sync(group, sum, offset, 8);
    if (lane == 0) y[row] = sum;
}

// Open addressing: the key by CAS, the value by addition.
#define EMPTY 0xffffffffffffffffull

__device__ unsigned hash(unsigned long long key) {
    key ^= key >> 33;
    key *= 0xff51afd7ed558ccdull;
    key ^= key >> 33;
    return (unsigned)key;
}

extern "C" __global__ void hash_insert(const unsigned long long* keys, unsigned long long* table, unsigned* values, int count, unsigned mask) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    unsigned slot = hash(keys[i]) & mask;
    while (true) {
        unsigned long long seen = atomicCAS(&table[slot], EMPTY, keys[i]);
        if (seen == EMPTY || seen == keys[i]) {
            atomicAdd(&values[slot], i + 1u);
            return;
        }
        slot = (slot + 1) & mask;
    }
}

extern "C" __global__ void hash_find(const unsigned long long* keys, const unsigned long long* table, const unsigned* values, unsigned* found, int count, unsigned mask) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    for (unsigned slot = hash(keys[i]) & mask;; slot = (slot + 1) & mask) {
        if (table[slot] == keys[i]) {
            found[i] = values[slot];
            return;
        }
        if (table[slot] == EMPTY) break;
    }
    found[i] = 0;
}

// Blocks take items of different sizes from a counter until none are left.
extern "C" __global__ void persistent(const int* sizes, int* results, int items, int* counter) {
    __shared__ int item;
    while (true) {
        if (threadIdx.x == 0) item = atomicAdd(counter, 1);
        __syncthreads();
        int mine = item;
        __syncthreads();
        if (mine >= items) return;
        int sum = 0;
        for (int i = threadIdx.x; i < sizes[mine]; i += blockDim.x) sum += i;
        atomicAdd(&results[mine], sum);
    }
}

struct Node {
    int value;
    Node* next;
};

__device__ Node* list_head;

// Pushes to a list without locks, through generic pointers.
extern "C" __global__ void push(Node* nodes, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    Node* node = &nodes[i];
    node->value = i * i;
    Node* head = list_head;
    while (true) {
        node->next = head;
        __threadfence();
        Node* seen = (Node*)atomicCAS((unsigned long long*)&list_head, (unsigned long long)head, (unsigned long long)node);
        if (seen == head) break;
        head = seen;
    }
}

extern "C" __global__ void sum_list(long long* sum, int* length) {
    for (Node* node = list_head; node; node = node->next) {
        *sum += node->value;
        ++*length;
    }
}
