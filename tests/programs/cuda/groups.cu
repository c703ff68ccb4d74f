// Cooperative groups: tiles, coalesced threads, the block, the whole grid.

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
namespace cg = cooperative_groups;

extern "C" __global__ void tile_sums(const int* input, int* output) {
    cg::thread_block block = cg::this_thread_block();
    auto tile = cg::tiled_partition<8>(block);
    int value = input[block.thread_rank()];
    for (int offset = tile.size() / 2; offset > 0; offset /= 2) value += tile.shfl_down(value, offset);
    if (tile.thread_rank() == 0) output[block.thread_rank() / 8] = value;
    auto warp = cg::tiled_partition<32>(block);
    int sum = cg::reduce(warp, input[block.thread_rank()], cg::plus<int>());
    int least = cg::reduce(tile, input[block.thread_rank()], cg::less<int>());
    int before = cg::exclusive_scan(tile, input[block.thread_rank()], cg::plus<int>());
    output[16 + block.thread_rank()] = sum * 3 + least;
    output[16 + 128 + block.thread_rank()] = before;
}

extern "C" __global__ void coalesced(const int* input, int* output, int* counter) {
    int value = input[threadIdx.x];
    if (value % 3 == 1) {
        cg::coalesced_group active = cg::coalesced_threads();
        int start;
        if (active.thread_rank() == 0) start = atomicAdd(counter, active.size());
        start = active.shfl(start, 0);
        output[start + active.thread_rank()] = value;
    }
}

// The sum of everything in one launch.
extern "C" __global__ void grid_sum(const int* input, int* partial, int* output, int count) {
    cg::grid_group grid = cg::this_grid();
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    cg::sync(cg::this_thread_block());
    int mine = 0;
    for (int i = grid.thread_rank(); i < count; i += grid.size()) mine += input[i];
    atomicAdd(&sum, mine);
    __syncthreads();
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
    grid.sync();
    if (grid.thread_rank() == 0) {
        int total = 0;
        for (int i = 0; i < gridDim.x; i++) total += partial[i];
        *output = total;
    }
    grid.sync();
    if (threadIdx.x == 0) partial[blockIdx.x] = *output + blockIdx.x;
}
