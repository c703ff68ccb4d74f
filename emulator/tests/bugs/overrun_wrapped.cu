// A byte offset is computed in 32 bits and wraps around.
// launch: grid 3 block 1
// arguments: fresh 1024, u32 1610612736
// expect: memory line 8 block 1 thread 0
extern "C" __global__ void wrong(char *out, int stride) {
    int offset = blockIdx.x * stride;
    if (blockIdx.x < 2)
        out[offset] = 1;
}

extern "C" __global__ void right(char *out, int stride) {
    size_t offset = (size_t)blockIdx.x * (size_t)stride;
    if (offset < 1024)
        out[offset] = 1;
}
