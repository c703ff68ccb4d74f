// Eight lanes of a warp add up as if all thirty-two did.
// launch: block 32
// arguments: in 32, fresh 4
// expect: initialised line 11 block 0 thread 0 other 11 says from lane 16, which was not active
extern "C" __global__ void wrong(const int *in, int *out) {
    int lane = threadIdx.x;
    if (lane >= 8)
        return;
    int value = in[lane];
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_down_sync(0xff, value, offset);
    if (lane == 0)
        *out = value;
}

// Lanes at the end read past those that take part, and what they get reaches nobody; upwards the first lanes keep what
// they have; segments of eight lanes end where the lanes do.
extern "C" __global__ void right(const int *in, int *out) {
    int lane = threadIdx.x;
    if (lane >= 8)
        return;
    int value = in[lane], sum = value, scan = value, segment = value;
    for (int offset = 4; offset > 0; offset /= 2)
        sum += __shfl_down_sync(0xff, sum, offset);
    scan += __shfl_up_sync(0xff, scan, 1);
    for (int offset = 4; offset > 0; offset /= 2)
        segment += __shfl_xor_sync(0xff, segment, offset, 8);
    value = scan + segment + __shfl_sync(0xff, value, 3) + __shfl_down_sync(0xff, value, 7, 8);
    if (lane == 0)
        *out = value + sum;
}
