// A result goes to a buffer that the host has released, by way of an atomic operation in its middle.
// launch: block 64
// arguments: freed 4096, zero 256
// expect: memory line 6 block 0 thread 0 says byte 2048 of the freed allocation of 4096 bytes
extern "C" __global__ void wrong(unsigned *counter, unsigned *out) {
    out[threadIdx.x] = atomicAdd(counter + 512, 1u);
}

extern "C" __global__ void right(unsigned *counter, unsigned *out) {
    atomicAdd(out + (threadIdx.x & 32), counter != nullptr);
}
