// A 64-bit counter lies behind a 32-bit one.
// launch: block 32
// arguments: zero 64
// expect: memory line 6 block 0 thread 0 says misaligned access of 8 bytes
extern "C" __global__ void wrong(unsigned *counters) {
    atomicAdd((unsigned long long *)(counters + 1), 1ull);
}

extern "C" __global__ void right(unsigned *counters) {
    atomicAdd((unsigned long long *)(counters + 2), 1ull);
}
