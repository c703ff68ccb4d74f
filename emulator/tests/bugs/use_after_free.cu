// A buffer is read that the host has released.
// launch: block 32
// arguments: freed 128, fresh 128, in 128
// expect: memory line 6 block 0 thread 0 says byte 0 of the freed allocation of 128 bytes
extern "C" __global__ void wrong(const int *old, int *out, const int *live) {
    out[threadIdx.x] = old[threadIdx.x] + live[threadIdx.x];
}

extern "C" __global__ void right(const int *old, int *out, const int *live) {
    out[threadIdx.x] = (old != nullptr) + live[threadIdx.x];
}
