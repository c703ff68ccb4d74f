// Locks taken by every thread: cells[0] is the lock, cells[1] counts. Each is a known way to write one; a scheduler that
// lets one side of a branch wait for the other hangs in some of them.

extern "C" __global__ void release_in_loop(int* cells) {
    bool done = false;
    while (!done) {
        if (atomicCAS(&cells[0], 0, 1) == 0) {
            *(volatile int*)&cells[1] = *(volatile int*)&cells[1] + 1;
            __threadfence();
            atomicExch(&cells[0], 0);
            done = true;
        }
    }
}

extern "C" __global__ void release_after_loop(int* cells) {
    while (atomicCAS(&cells[0], 0, 1) != 0) {
    }
    *(volatile int*)&cells[1] = *(volatile int*)&cells[1] + 1;
    __threadfence();
    atomicExch(&cells[0], 0);
}

extern "C" __global__ void leave_the_loop_with_the_lock(int* cells) {
    for (;;) {
        if (atomicExch(&cells[0], 1) == 0) break;
        __nanosleep(20);
    }
    __threadfence();
    *(volatile int*)&cells[1] = *(volatile int*)&cells[1] + 1;
    __threadfence();
    *(volatile int*)&cells[0] = 0;
}

extern "C" __global__ void one_lane_after_the_other(int* cells) {
    for (int lane = 0; lane < 32; lane++) {
        if ((threadIdx.x & 31) != lane) continue;
        while (atomicCAS(&cells[0], 0, 1)) {
        }
        *(volatile int*)&cells[1] = *(volatile int*)&cells[1] + 1;
        __threadfence();
        atomicExch(&cells[0], 0);
    }
}
