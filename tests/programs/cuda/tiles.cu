// Tiles of more than one warp, whose threads meet and exchange values in shared memory that the system reserves (from
// compute capability 8.0 on; before, in memory of the kernel's own), beside the kernel's own shared memory.

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;

constexpr int FIGURES = 6;

// For each thread of blocks of 256: figures of its tiles of 64 and of 128 threads, and what the kernel's own memory holds.
extern "C" __global__ void large_tiles(const int* input, int* output) {
    __shared__ cg::block_tile_memory<256> room;
    __shared__ int own[100];
    extern __shared__ int more[];
    cg::thread_block block = cg::this_thread_block(room);
    int thread = block.thread_rank(), value = input[blockIdx.x * 256 + thread];
    if (thread < 100) own[thread] = thread * 3;
    more[thread] = thread * 5;
    block.sync();
    auto pairs = cg::tiled_partition<64>(block);
    auto fours = cg::tiled_partition<128>(block);
    int* figures = output + (blockIdx.x * 256 + thread) * FIGURES;
    figures[0] = cg::reduce(pairs, value, cg::plus<int>());
    figures[1] = cg::reduce(fours, value, cg::greater<int>());
    figures[2] = pairs.shfl(value, 63 - thread / 64);
    pairs.sync();
    figures[3] = pairs.meta_group_rank() * 1000 + pairs.thread_rank();
    figures[4] = fours.any(value == 7) + 2 * fours.all(value < 990);
    block.sync();
    figures[5] = (thread < 100 ? own[thread] : 0) + more[255 - thread];
}

// Tiles of a tile: halves of the block take their turns at different times, then the whole grid meets.
extern "C" __global__ void tiles_and_grid(int* output) {
    __shared__ cg::block_tile_memory<256> room;
    cg::thread_block block = cg::this_thread_block(room);
    cg::grid_group grid = cg::this_grid();
    auto half = cg::tiled_partition<128>(block);
    int sum = 0;
    for (int turn = 0; turn < 3 + (int)half.meta_group_rank() * 4; turn++) {
        sum += cg::reduce(half, (int)half.thread_rank() + turn, cg::plus<int>());
        half.sync();
    }
    output[grid.thread_rank()] = sum;
    grid.sync();
    int other = output[(grid.thread_rank() + 128) % grid.size()];
    grid.sync();
    output[grid.thread_rank()] += 1000 * (other - sum);
}
