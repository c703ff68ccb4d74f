// Barriers of libcu++ in shared memory, and pipelines of asynchronous copies between threads.

#include <cooperative_groups.h>
#include <cuda/barrier>
#include <cuda/pipeline>
namespace cg = cooperative_groups;
using Barrier = cuda::barrier<cuda::thread_scope_block>;

// The values of 256 threads go around, in rounds of two phases; the upper half leaves before the last.
extern "C" __global__ void rounds(const int* input, int* output, int count) {
    __shared__ Barrier barrier;
    __shared__ int values[256];
    int thread = threadIdx.x, sum = 0;
    if (thread == 0) init(&barrier, blockDim.x);
    __syncthreads();
    for (int round = 0; round < count; round++) {
        values[thread] = input[thread] + round;
        Barrier::arrival_token token = barrier.arrive();
        sum += 1000;
        barrier.wait(cuda::std::move(token));
        sum += values[(thread + 1 + round) % 256];
        barrier.arrive_and_wait();
    }
    if (thread >= 128) {
        barrier.arrive_and_drop();
    } else {
        values[thread] = sum;
        barrier.arrive_and_wait();
        sum += values[127 - thread];
        barrier.arrive_and_wait();
    }
    output[thread] = sum;
}

// A barrier waits for copies too.
extern "C" __global__ void copies(const int* input, int* output) {
    __shared__ Barrier barrier;
    __shared__ int values[256];
    int thread = threadIdx.x;
    if (thread == 0) init(&barrier, blockDim.x);
    __syncthreads();
    cuda::memcpy_async(values + thread, input + thread, sizeof(int), barrier);
    barrier.arrive_and_wait();
    int first = values[255 - thread];
    barrier.arrive_and_wait();
    cuda::memcpy_async(cg::this_thread_block(), values, input + 256, sizeof(values), barrier);
    barrier.arrive_and_wait();
    output[thread] = first * 10000 + values[thread ^ 7];
}

// Two stages: while the threads add one up, the next is on its way.
extern "C" __global__ void staged(const int* input, int* output, int stages) {
    __shared__ int values[2][256];
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
    cg::thread_block block = cg::this_thread_block();
    auto pipeline = cuda::make_pipeline(block, &state);
    int thread = threadIdx.x, sum = 0;
    for (int stage = 0, next = 0; stage < stages; stage++) {
        for (; next < stages && next < stage + 2; next++) {
            pipeline.producer_acquire();
            cuda::memcpy_async(block, values[next % 2], input + 256 * next, sizeof(values[0]), pipeline);
            pipeline.producer_commit();
        }
        pipeline.consumer_wait();
        sum = sum * 3 + values[stage % 2][(thread * 5 + stage) % 256];
        pipeline.consumer_release();
    }
    output[thread] = sum;
}
