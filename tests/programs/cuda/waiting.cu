// Programs that wait for each other: locks inside a warp and between blocks, flags, barriers of the grid, named barriers
// between warps, pipelines, queues.

// --- Locks: every thread of a warp takes the same one ---
__device__ int lock_word = 0;

extern "C" __global__ void locked_counter(int* counter) {
    bool done = false;
    while (!done) {
        if (atomicCAS(&lock_word, 0, 1) == 0) {
            // Not atomic: only the lock keeps others out.
            volatile int* shared_counter = counter;
            *shared_counter = *shared_counter + 1;
            __threadfence();
            atomicExch(&lock_word, 0);
            done = true;
        }
    }
}

// The textbook's lock, which needs lanes of a warp to go on one by one (Volta and later).
__device__ int textbook_lock = 0;

extern "C" __global__ void textbook_counter(int* counter) {
    while (atomicCAS(&textbook_lock, 0, 1) != 0) {}
    __threadfence();
    volatile int* inside = counter;
    *inside = *inside + 1;
    __threadfence();
    atomicExch(&textbook_lock, 0);
}

// Many locks, one a bucket, two at a time in order.
extern "C" __global__ void transfers(int* balances, int* locks, const int2* pairs, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int a = pairs[i].x, b = pairs[i].y, first = min(a, b), second = max(a, b);
    if (first == second) return;
    for (bool done = false; !done;) {
        if (atomicCAS(&locks[first], 0, 1) == 0) {
            if (atomicCAS(&locks[second], 0, 1) == 0) {
                ((volatile int*)balances)[a] -= i;
                ((volatile int*)balances)[b] += i;
                __threadfence();
                atomicExch(&locks[second], 0);
                done = true;
            }
            atomicExch(&locks[first], 0);
        }
    }
}

// A fair lock by tickets, one thread a block.
extern "C" __global__ void ticket_lock(unsigned* tickets, int* log, int* position) {
    if (threadIdx.x == 0) {
        unsigned mine = atomicAdd(&tickets[0], 1);
        while (atomicAdd(&tickets[1], 0) != mine) __nanosleep(20);
        __threadfence();
        int place = *(volatile int*)position;
        log[place] = blockIdx.x;
        *(volatile int*)position = place + 1;
        __threadfence();
        atomicAdd(&tickets[1], 1);
    }
}

// --- Messages between blocks: each waits for the one before it, with fences or with acquire and release ---
extern "C" __global__ void relay(volatile int* values, volatile int* flags) {
    if (threadIdx.x != 0) return;
    int block = blockIdx.x;
    if (block > 0) {
        while (flags[block - 1] == 0) {}
        __threadfence();
        values[block] = values[block - 1] * 3 + block;
    } else {
        values[0] = 1;
    }
    __threadfence();
    flags[block] = 1;
}

extern "C" __global__ void acquire_release(int* data, int* flag, int* output) {
    if (blockIdx.x == 0) {
        data[threadIdx.x] = threadIdx.x * 11;
        __syncthreads();
        if (threadIdx.x == 0) asm volatile("st.release.gpu.global.s32 [%0], 1;" ::"l"(flag) : "memory");
    } else {
        if (threadIdx.x == 0) {
            int seen;
            do asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(seen) : "l"(flag) : "memory");
            while (!seen);
        }
        __syncthreads();
        output[threadIdx.x] = data[threadIdx.x ^ 1] + 1;
    }
}

// --- A barrier of all blocks, by counting; the grid is resident at once ---
__device__ unsigned arrived = 0;
__device__ volatile unsigned generation = 0;

__device__ void grid_barrier() {
    __syncthreads();
    if (threadIdx.x == 0) {
        unsigned mine = generation;
        __threadfence();
        if (atomicAdd(&arrived, 1) == gridDim.x - 1) {
            arrived = 0;
            __threadfence();
            generation = mine + 1;
        } else {
            while (generation == mine) {}
        }
        __threadfence();
    }
    __syncthreads();
}

extern "C" __global__ void diffuse(volatile float* a, volatile float* b, int count, int steps) {
    for (int step = 0; step < steps; step++) {
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
            b[i] = 0.25f * a[i > 0 ? i - 1 : 0] + 0.5f * a[i] + 0.25f * a[i < count - 1 ? i + 1 : i];
        grid_barrier();
        volatile float* swap = a;
        a = b;
        b = swap;
    }
}

// --- Named barriers: a producer warp fills two buffers for consumer warps ---
__device__ void barrier_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
__device__ void barrier_arrive(int id, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory"); }

extern "C" __global__ void producer_consumer(const int* input, int* output, int rounds) {
    __shared__ int buffers[2][32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    // Barriers 1 and 2: full; 3 and 4: empty. One producer warp and three consumer warps.
    if (warp == 0) {
        for (int round = 0; round < rounds; round++) {
            if (round >= 2) barrier_sync(3 + round % 2, 128);
            buffers[round % 2][lane] = input[round * 32 + lane];
            __threadfence_block();
            barrier_arrive(1 + round % 2, 128);
        }
    } else {
        int sum = 0;
        for (int round = 0; round < rounds; round++) {
            barrier_sync(1 + round % 2, 128);
            sum = sum * 3 + buffers[round % 2][(lane + warp) % 32];
            if (round + 2 < rounds) barrier_arrive(3 + round % 2, 128);
        }
        output[(warp - 1) * 32 + lane] = sum;
    }
}

// Two teams with a barrier each, and all together at the end.
extern "C" __global__ void teams(int* output) {
    __shared__ int sums[2][64];
    int team = threadIdx.x / 64, member = threadIdx.x % 64;
    sums[team][member] = threadIdx.x;
    for (int half = 32; half > 0; half /= 2) {
        barrier_sync(team + 5, 64);
        if (member < half) sums[team][member] += sums[team][member + half];
    }
    __syncthreads();
    if (threadIdx.x == 0) output[0] = sums[0][0], output[1] = sums[1][0];
}

// --- A queue in shared memory between warps, spinning on volatile words ---
extern "C" __global__ void ring(const int* input, int* output, int count) {
    __shared__ volatile int slots[8];
    __shared__ volatile int head, tail;
    if (threadIdx.x == 0) head = tail = 0;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 0; i < count; i++) {
            while (head - tail >= 8) {}
            slots[head % 8] = input[i];
            __threadfence_block();
            head = head + 1;
        }
    } else if (threadIdx.x == 32) {
        for (int i = 0; i < count; i++) {
            while (tail == head) {}
            __threadfence_block();
            output[i] = slots[tail % 8] * 2 + i;
            __threadfence_block();
            tail = tail + 1;
        }
    }
}

// Lanes of one warp hand a token around, in the reverse of their order.
extern "C" __global__ void token(int* output) {
    __shared__ volatile int turn;
    if (threadIdx.x == 0) turn = 31;
    __syncwarp();
    int lane = threadIdx.x, step = 0;
    while (turn != lane) step = 1;
    output[lane] = (31 - lane) * 2 + (step >= 0);
    __threadfence_block();
    turn = lane - 1;
}
