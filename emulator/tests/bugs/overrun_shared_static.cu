// A padded tile is indexed one row too far.
// launch: block 32
// arguments: fresh 4096
// expect: memory line 8 block 0 thread 0 says past the end of the shared variable
extern "C" __global__ void wrong(int *out) {
    __shared__ int tile[32][33];
    for (int row = 0; row <= 32; row++)
        tile[row][threadIdx.x] = row;
    __syncthreads();
    for (int row = 0; row < 32; row++)
        out[32 * row + threadIdx.x] = tile[threadIdx.x][row];
}

extern "C" __global__ void right(int *out) {
    __shared__ int tile[32][33];
    for (int row = 0; row < 32; row++)
        tile[row][threadIdx.x] = row;
    __syncthreads();
    for (int row = 0; row < 32; row++)
        out[32 * row + threadIdx.x] = tile[threadIdx.x][row];
}
