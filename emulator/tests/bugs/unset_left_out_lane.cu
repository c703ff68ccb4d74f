// Every lane of half a warp reads one of the other half, which goes another way.
// launch: block 32
// arguments: fresh 128
// expect: initialised line 8 block 0 thread 0 other 8 says from lane 16, which was not active
extern "C" __global__ void wrong(int *out) {
    int lane = threadIdx.x, value = lane;
    if (lane < 16)
        value += __shfl_xor_sync(0xffff, value, 16);
    out[lane] = value;
}

extern "C" __global__ void right(int *out) {
    int lane = threadIdx.x, value = lane;
    int other = __shfl_xor_sync(~0u, value, 16);
    if (lane < 16)
        value += other + __shfl_xor_sync(0xffff, value, 8);
    out[lane] = value;
}
