// Tiles of kernels with one thread a pixel: a block has TILE_WIDTH x TILE_HEIGHT of them.
#ifndef PIXEL_TILE_CUH
#define PIXEL_TILE_CUH

#ifndef TILE_WIDTH
#define TILE_WIDTH 32
#endif
#ifndef TILE_HEIGHT
#define TILE_HEIGHT 8
#endif

#endif
