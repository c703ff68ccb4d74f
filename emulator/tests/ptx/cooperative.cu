// What cooperative groups do: grids that meet, tiles, groups of the lanes that happen to be together. The constants of
// the headers that no kernel uses are left out of the PTX.

#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>

namespace cg = cooperative_groups;

// The sum of the input, and behind it the running number of each thread on top of it. The grid meets twice.
extern "C" __global__ void grid_sum(const int* in, int* partial, int* out, int n) {
    cg::grid_group grid = cg::this_grid();
    cg::thread_block block = cg::this_thread_block();
    auto tile = cg::tiled_partition<32>(block);
    __shared__ int warps[32];
    int sum = 0;
    for (unsigned i = grid.thread_rank(); i < n; i += grid.size()) sum += in[i];
    sum = cg::reduce(tile, sum, cg::plus<int>());
    if (tile.thread_rank() == 0) warps[tile.meta_group_rank()] = sum;
    block.sync();
    if (tile.meta_group_rank() == 0) {
        int x = tile.thread_rank() < tile.meta_group_size() ? warps[tile.thread_rank()] : 0;
        x = cg::reduce(tile, x, cg::plus<int>());
        if (tile.thread_rank() == 0) partial[blockIdx.x] = x;
    }
    grid.sync();
    if (grid.thread_rank() == 0) {
        int total = 0;
        for (unsigned b = 0; b < gridDim.x; b++) total += partial[b];
        out[0] = total;
    }
    grid.sync();
    out[1 + grid.thread_rank()] = out[0] + (int)grid.thread_rank();
}

// 128 threads; 128 words of input, five times as many of output.
extern "C" __global__ void groups(const int* in, int* out) {
    cg::thread_block block = cg::this_thread_block();
    int t = threadIdx.x;
    if (in[t] & 1) {
        auto together = cg::coalesced_threads();
        out[t] = together.size() * 100 + together.thread_rank();
        together.sync();
        out[t] += 10000 * cg::reduce(together, 1, cg::plus<int>());
    } else {
        out[t] = -1;
    }
    auto tile = cg::tiled_partition<32>(block);
    auto labelled = cg::labeled_partition(tile, in[t] % 3);
    out[128 + t] = cg::reduce(labelled, in[t], cg::plus<int>());
    auto eight = cg::tiled_partition<8>(tile);
    out[256 + t] = cg::inclusive_scan(eight, in[t]);
    auto half = cg::binary_partition(tile, in[t] > 50);
    out[384 + t] = half.size();
    __shared__ int copy[128];
    cg::memcpy_async(block, copy, in, sizeof(int) * 128);
    cg::wait(block);
    out[512 + t] = copy[127 - t];
}
