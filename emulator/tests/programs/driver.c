/* A program on the driver API as people write them, without a line for the emulator: it is linked against `libcuda.so`
 * and says "passed" when everything it computed is right. The declarations are those of cuda.h. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUlinkState_st *CUlinkState;

typedef struct {
    CUfunction func;
    unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
    void **kernelParams, **extra;
    CUkernel kern;
    CUcontext ctx;
} CUDA_KERNEL_NODE_PARAMS;

typedef struct {
    CUdeviceptr dst;
    size_t pitch;
    unsigned value, elementSize;
    size_t width, height;
} CUDA_MEMSET_NODE_PARAMS;

typedef struct {
    size_t srcXInBytes, srcY;
    unsigned srcMemoryType;
    const void *srcHost;
    CUdeviceptr srcDevice;
    void *srcArray;
    size_t srcPitch, dstXInBytes, dstY;
    unsigned dstMemoryType;
    void *dstHost;
    CUdeviceptr dstDevice;
    void *dstArray;
    size_t dstPitch, WidthInBytes, Height;
} CUDA_MEMCPY2D;

extern CUresult cuInit(unsigned);
extern CUresult cuDriverGetVersion(int *);
extern CUresult cuDeviceGetCount(int *);
extern CUresult cuDeviceGet(CUdevice *, int);
extern CUresult cuDeviceGetName(char *, int, CUdevice);
extern CUresult cuDeviceTotalMem_v2(size_t *, CUdevice);
extern CUresult cuDeviceGetAttribute(int *, int, CUdevice);
extern CUresult cuGetErrorName(CUresult, const char **);
extern CUresult cuGetErrorString(CUresult, const char **);
extern CUresult cuCtxCreate_v2(CUcontext *, unsigned, CUdevice);
extern CUresult cuCtxDestroy_v2(CUcontext);
extern CUresult cuCtxPushCurrent_v2(CUcontext);
extern CUresult cuCtxPopCurrent_v2(CUcontext *);
extern CUresult cuCtxSynchronize(void);
extern CUresult cuModuleLoadDataEx(CUmodule *, const void *, unsigned, int *, void **);
extern CUresult cuModuleGetFunction(CUfunction *, CUmodule, const char *);
extern CUresult cuModuleGetGlobal_v2(CUdeviceptr *, size_t *, CUmodule, const char *);
extern CUresult cuModuleUnload(CUmodule);
extern CUresult cuMemAlloc_v2(CUdeviceptr *, size_t);
extern CUresult cuMemAllocManaged(CUdeviceptr *, size_t, unsigned);
extern CUresult cuMemAllocPitch_v2(CUdeviceptr *, size_t *, size_t, size_t, unsigned);
extern CUresult cuMemHostAlloc(void **, size_t, unsigned);
extern CUresult cuMemFreeHost(void *);
extern CUresult cuMemFree_v2(CUdeviceptr);
extern CUresult cuMemcpyHtoD_v2(CUdeviceptr, const void *, size_t);
extern CUresult cuMemcpyDtoH_v2(void *, CUdeviceptr, size_t);
extern CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr, const void *, size_t, CUstream);
extern CUresult cuMemcpyDtoHAsync_v2(void *, CUdeviceptr, size_t, CUstream);
extern CUresult cuMemcpyDtoHAsync_v2_ptsz(void *, CUdeviceptr, size_t, CUstream);
extern CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *);
extern CUresult cuMemsetD32_v2(CUdeviceptr, unsigned, size_t);
extern CUresult cuStreamCreate(CUstream *, unsigned);
extern CUresult cuStreamSynchronize(CUstream);
extern CUresult cuStreamSynchronize_ptsz(CUstream);
extern CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned);
extern CUresult cuStreamDestroy_v2(CUstream);
extern CUresult cuStreamAddCallback(CUstream, void (*)(CUstream, CUresult, void *), void *, unsigned);
extern CUresult cuEventCreate(CUevent *, unsigned);
extern CUresult cuEventRecord(CUevent, CUstream);
extern CUresult cuEventSynchronize(CUevent);
extern CUresult cuEventElapsedTime(float *, CUevent, CUevent);
extern CUresult cuEventDestroy_v2(CUevent);
extern CUresult cuLaunchKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                               CUstream, void **, void **);
extern CUresult cuLaunchKernel_ptsz(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                    CUstream, void **, void **);
extern CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *, CUfunction, int, size_t);
extern CUresult cuLibraryLoadData(CUlibrary *, const void *, int *, void **, unsigned, int *, void **, unsigned);
extern CUresult cuLibraryGetKernel(CUkernel *, CUlibrary, const char *);
extern CUresult cuLibraryUnload(CUlibrary);
extern CUresult cuLinkCreate_v2(unsigned, int *, void **, CUlinkState *);
extern CUresult cuLinkAddData_v2(CUlinkState, int, void *, size_t, const char *, unsigned, int *, void **);
extern CUresult cuLinkComplete(CUlinkState, void **, size_t *);
extern CUresult cuLinkDestroy(CUlinkState);
extern CUresult cuGraphCreate(CUgraph *, unsigned);
extern CUresult cuGraphAddKernelNode_v2(CUgraphNode *, CUgraph, const CUgraphNode *, size_t,
                                        const CUDA_KERNEL_NODE_PARAMS *);
extern CUresult cuGraphAddMemsetNode(CUgraphNode *, CUgraph, const CUgraphNode *, size_t,
                                     const CUDA_MEMSET_NODE_PARAMS *, CUcontext);
extern CUresult cuGraphInstantiateWithFlags(CUgraphExec *, CUgraph, unsigned long long);
extern CUresult cuGraphLaunch(CUgraphExec, CUstream);
extern CUresult cuGraphExecDestroy(CUgraphExec);
extern CUresult cuGraphDestroy(CUgraph);
extern CUresult cuGetProcAddress_v2(const char *, void **, int, unsigned long long, int *);
extern CUresult cuTexRefCreate(void **);

static void check(CUresult result, const char *what, int line) {
    const char *name = "?";
    if (result == 0) return;
    cuGetErrorName(result, &name);
    printf("line %d: %s gives %s\n", line, what, name);
    exit(1);
}
#define CHECK(call) check(call, #call, __LINE__)
#define EXPECT(condition)                                                 \
    do {                                                                  \
        if (!(condition)) {                                               \
            printf("line %d: %s is not so\n", __LINE__, #condition);      \
            exit(1);                                                      \
        }                                                                 \
    } while (0)

/* add(out, count, addend): out[i] += addend. */
static const char *PTX = ".version 8.0\n.target sm_75\n.address_size 64\n"
    ".visible .global .align 4 .u32 answer = 42;\n"
    ".visible .entry add(.param .u64 out, .param .u32 count, .param .u32 addend)\n{\n"
    ".reg .pred %p<2>; .reg .b32 %r<9>; .reg .b64 %rd<5>;\n"
    "ld.param.u64 %rd1, [out]; ld.param.u32 %r1, [count]; ld.param.u32 %r2, [addend];\n"
    "mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ntid.x; mov.u32 %r5, %tid.x;\n"
    "mad.lo.s32 %r6, %r3, %r4, %r5;\nsetp.ge.u32 %p1, %r6, %r1;\n@%p1 bra DONE;\n"
    "cvta.to.global.u64 %rd2, %rd1; mul.wide.u32 %rd3, %r6, 4; add.s64 %rd4, %rd2, %rd3;\n"
    "ld.global.u32 %r7, [%rd4]; add.u32 %r8, %r7, %r2; st.global.u32 [%rd4], %r8;\nDONE:\nret;\n}\n";

enum { COUNT = 1000, BLOCK = 128, GRID = (COUNT + BLOCK - 1) / BLOCK };

static CUcontext context;
static CUfunction add;

static void describe(void) {
    int count = 0, major = 0, version = 0, version_of_device = 0;
    size_t bytes = 0;
    char name[100] = "";
    const char *text = NULL;
    EXPECT(cuDeviceGetCount(&count) == 3); /* CUDA_ERROR_NOT_INITIALIZED */
    CHECK(cuInit(0));
    CHECK(cuDriverGetVersion(&version));
    CHECK(cuDeviceGetCount(&count));
    CHECK(cuDeviceGetName(name, sizeof name, 0));
    CHECK(cuDeviceTotalMem_v2(&bytes, 0));
    CHECK(cuDeviceGetAttribute(&major, 75, 0));
    EXPECT(version >= 12000 && count == 1 && name[0] && bytes > (1u << 30) && major >= 7);
    EXPECT(cuDeviceGet(&version_of_device, 1) == 101); /* CUDA_ERROR_INVALID_DEVICE */
    CHECK(cuGetErrorString(209, &text));
    EXPECT(strstr(text, "no kernel image") != NULL);
}

static void launch(CUdeviceptr numbers, unsigned addend, CUstream stream) {
    unsigned count = COUNT;
    void *parameters[] = {&numbers, &count, &addend};
    CHECK(cuLaunchKernel(add, GRID, 1, 1, BLOCK, 1, 1, 0, stream, parameters, NULL));
}

static void expect_all(CUdeviceptr numbers, unsigned value) {
    unsigned host[COUNT];
    CHECK(cuMemcpyDtoH_v2(host, numbers, sizeof host));
    for (int i = 0; i < COUNT; i++) EXPECT(host[i] == value);
}

static CUmodule load(void) {
    char log[200] = "x";
    int options[] = {5, 6}; /* error log, and its size */
    void *values[] = {log, (void *)(uintptr_t)sizeof log};
    CUmodule module;
    CUdeviceptr answer;
    size_t bytes;
    unsigned found;
    EXPECT(cuModuleLoadDataEx(&module, ".version 8.0\n.target sm_75\n.address_size 64\nnonsense", 2, options, values) ==
           218); /* CUDA_ERROR_INVALID_PTX */
    EXPECT(strstr(log, "line 4") != NULL);
    values[1] = (void *)(uintptr_t)sizeof log;
    CHECK(cuModuleLoadDataEx(&module, PTX, 2, options, values));
    EXPECT(log[0] == 0);
    CHECK(cuModuleGetFunction(&add, module, "add"));
    EXPECT(cuModuleGetFunction(&add, module, "subtract") == 500); /* CUDA_ERROR_NOT_FOUND */
    CHECK(cuModuleGetGlobal_v2(&answer, &bytes, module, "answer"));
    CHECK(cuMemcpyDtoH_v2(&found, answer, bytes));
    EXPECT(bytes == 4 && found == 42);
    return module;
}

static void callback(CUstream stream, CUresult state, void *data) {
    (void)stream;
    *(int *)data += state == 0 ? 1 : 100;
}

static void streams_and_events(CUdeviceptr numbers) {
    CUstream first, second;
    CUevent start, end;
    float milliseconds = -1;
    int called = 0;
    unsigned *pinned;
    CHECK(cuMemHostAlloc((void **)&pinned, COUNT * 4, 0));
    CHECK(cuStreamCreate(&first, 1));
    CHECK(cuStreamCreate(&second, 1));
    CHECK(cuEventCreate(&start, 0));
    CHECK(cuEventCreate(&end, 0));
    for (int i = 0; i < COUNT; i++) pinned[i] = 5;
    CHECK(cuEventRecord(start, first));
    CHECK(cuMemcpyHtoDAsync_v2(numbers, pinned, COUNT * 4, first));
    launch(numbers, 2, first);
    CHECK(cuEventRecord(end, first));
    CHECK(cuStreamWaitEvent(second, end, 0));
    launch(numbers, 3, second);
    CHECK(cuMemcpyDtoHAsync_v2(pinned, numbers, COUNT * 4, second));
    CHECK(cuStreamAddCallback(second, callback, &called, 0));
    CHECK(cuStreamSynchronize(second));
    EXPECT(pinned[0] == 10 && pinned[COUNT - 1] == 10 && called == 1);
    CHECK(cuEventSynchronize(end));
    CHECK(cuEventElapsedTime(&milliseconds, start, end));
    EXPECT(milliseconds >= 0);
    CHECK(cuEventDestroy_v2(start));
    CHECK(cuEventDestroy_v2(end));
    CHECK(cuStreamDestroy_v2(first));
    CHECK(cuStreamDestroy_v2(second));
    EXPECT(cuStreamSynchronize(second) == 400); /* CUDA_ERROR_INVALID_HANDLE */
    CHECK(cuMemFreeHost(pinned));
}

/* Every thread has a default stream of its own. */
static void *thread(void *out) {
    CUdeviceptr numbers;
    CUcontext popped;
    unsigned count = COUNT, addend = 4;
    CHECK(cuCtxPushCurrent_v2(context));
    CHECK(cuMemAlloc_v2(&numbers, COUNT * 4));
    CHECK(cuMemsetD32_v2(numbers, 1, COUNT));
    CHECK(cuCtxSynchronize());
    void *parameters[] = {&numbers, &count, &addend};
    CHECK(cuLaunchKernel_ptsz(add, GRID, 1, 1, BLOCK, 1, 1, 0, NULL, parameters, NULL));
    CHECK(cuMemcpyDtoHAsync_v2_ptsz(out, numbers, 4, NULL));
    CHECK(cuStreamSynchronize_ptsz(NULL));
    CHECK(cuMemFree_v2(numbers));
    CHECK(cuCtxPopCurrent_v2(&popped));
    EXPECT(popped == context);
    return NULL;
}

static void threads(void) {
    enum { THREADS = 4 };
    pthread_t ids[THREADS];
    unsigned values[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_create(&ids[i], NULL, thread, &values[i]) == 0);
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_join(ids[i], NULL) == 0 && values[i] == 5);
}

static void graph(CUdeviceptr numbers) {
    CUgraph graph;
    CUgraphNode fill, kernel;
    CUgraphExec executable;
    unsigned count = COUNT, addend = 9;
    void *parameters[] = {&numbers, &count, &addend};
    CUDA_MEMSET_NODE_PARAMS sevens = {numbers, 0, 7, 4, COUNT, 1};
    CUDA_KERNEL_NODE_PARAMS adds = {add, GRID, 1, 1, BLOCK, 1, 1, 0, parameters, NULL, NULL, NULL};
    CHECK(cuGraphCreate(&graph, 0));
    CHECK(cuGraphAddMemsetNode(&fill, graph, NULL, 0, &sevens, context));
    CHECK(cuGraphAddKernelNode_v2(&kernel, graph, &fill, 1, &adds));
    CHECK(cuGraphInstantiateWithFlags(&executable, graph, 0));
    CHECK(cuGraphDestroy(graph));
    for (int i = 0; i < 2; i++) {
        CHECK(cuGraphLaunch(executable, NULL));
        expect_all(numbers, 16);
    }
    CHECK(cuGraphExecDestroy(executable));
}

static void memory(CUdeviceptr numbers) {
    enum { WIDTH = 10, HEIGHT = 3 };
    unsigned char source[HEIGHT][WIDTH], target[HEIGHT][WIDTH] = {{0}};
    CUdeviceptr rectangle, managed;
    size_t pitch;
    CHECK(cuMemAllocPitch_v2(&rectangle, &pitch, WIDTH, HEIGHT, 4));
    for (int i = 0; i < WIDTH * HEIGHT; i++) source[i / WIDTH][i % WIDTH] = i;
    CUDA_MEMCPY2D there = {.srcMemoryType = 1, .srcHost = source, .srcPitch = WIDTH, .dstMemoryType = 2,
                           .dstDevice = rectangle, .dstPitch = pitch, .WidthInBytes = WIDTH, .Height = HEIGHT};
    CUDA_MEMCPY2D back = {.srcXInBytes = 2, .srcY = 1, .srcMemoryType = 2, .srcDevice = rectangle, .srcPitch = pitch,
                          .dstMemoryType = 1, .dstHost = target, .dstPitch = WIDTH, .WidthInBytes = 4, .Height = 2};
    CHECK(cuMemcpy2D_v2(&there));
    CHECK(cuMemcpy2D_v2(&back));
    EXPECT(target[0][0] == 12 && target[0][3] == 15 && target[0][4] == 0 && target[1][0] == 22);
    CHECK(cuMemFree_v2(rectangle));
    CHECK(cuMemAllocManaged(&managed, COUNT * 4, 1));
    for (int i = 0; i < COUNT; i++) ((unsigned *)managed)[i] = i;
    launch(managed, 1, NULL);
    CHECK(cuCtxSynchronize());
    EXPECT(((unsigned *)managed)[COUNT - 1] == COUNT);
    CHECK(cuMemFree_v2(managed));
    EXPECT(cuMemFree_v2(managed) == 1 && cuMemcpyHtoD_v2(numbers, source, COUNT * 4 + 1) == 1);
}

static void libraries(CUdeviceptr numbers) {
    CUlibrary library;
    CUkernel kernel;
    CUlinkState link;
    CUmodule module;
    CUfunction linked;
    void *image;
    size_t bytes;
    int blocks = 0;
    unsigned count = COUNT, addend = 1;
    void *parameters[] = {&numbers, &count, &addend};
    CHECK(cuMemsetD32_v2(numbers, 0, COUNT));
    CHECK(cuLibraryLoadData(&library, PTX, NULL, NULL, 0, NULL, NULL, 0));
    CHECK(cuLibraryGetKernel(&kernel, library, "add"));
    CHECK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, (CUfunction)kernel, BLOCK, 0));
    CHECK(cuLaunchKernel((CUfunction)kernel, GRID, 1, 1, BLOCK, 1, 1, 0, NULL, parameters, NULL));
    expect_all(numbers, 1);
    EXPECT(blocks > 0);
    CHECK(cuLibraryUnload(library));
    CHECK(cuLinkCreate_v2(0, NULL, NULL, &link));
    CHECK(cuLinkAddData_v2(link, 1, (void *)PTX, strlen(PTX) + 1, "add.ptx", 0, NULL, NULL));
    CHECK(cuLinkComplete(link, &image, &bytes));
    CHECK(cuModuleLoadDataEx(&module, image, 0, NULL, NULL));
    CHECK(cuLinkDestroy(link));
    CHECK(cuModuleGetFunction(&linked, module, "add"));
    CHECK(cuLaunchKernel(linked, GRID, 1, 1, BLOCK, 1, 1, 0, NULL, parameters, NULL));
    expect_all(numbers, 2);
    CHECK(cuModuleUnload(module));
}

static void what_is_missing(void) {
    void *texture, *found = NULL;
    int status = -1;
    CUresult (*allocate)(CUdeviceptr *, size_t);
    CUdeviceptr address;
    EXPECT(cuTexRefCreate(&texture) == 801); /* CUDA_ERROR_NOT_SUPPORTED */
    CHECK(cuGetProcAddress_v2("cuMemAlloc", &found, 12000, 0, &status));
    memcpy(&allocate, &found, sizeof found);
    CHECK(allocate(&address, 16));
    CHECK(cuMemFree_v2(address));
    EXPECT(status == 0 && cuGetProcAddress_v2("cuNothing", &found, 12000, 0, &status) == 500 && found == NULL);
}

int main(void) {
    CUdeviceptr numbers;
    CUmodule module;
    describe();
    CHECK(cuCtxCreate_v2(&context, 0, 0));
    module = load();
    CHECK(cuModuleGetFunction(&add, module, "add"));
    CHECK(cuMemAlloc_v2(&numbers, COUNT * 4));
    CHECK(cuMemsetD32_v2(numbers, 1, COUNT));
    launch(numbers, 2, NULL);
    expect_all(numbers, 3);
    streams_and_events(numbers);
    threads();
    graph(numbers);
    memory(numbers);
    libraries(numbers);
    what_is_missing();
    CHECK(cuMemFree_v2(numbers));
    CHECK(cuModuleUnload(module));
    CHECK(cuCtxDestroy_v2(context));
    EXPECT(cuCtxSynchronize() == 201); /* CUDA_ERROR_INVALID_CONTEXT */
    puts("passed");
    return 0;
}
