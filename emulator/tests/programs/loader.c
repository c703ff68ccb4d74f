/* A library that keeps the driver's functions in variables of the same names, as loaders of libcuda do, and a program
   that uses it (PROGRAM). */
#include <stdio.h>

int start(void);

#ifdef PROGRAM
int main(void) { return start(); }
#else
#include <dlfcn.h>

int (*cuInit)(unsigned);
int (*cuDeviceGetCount)(int *);

int start(void) {
    int count = 0;
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver)
        return 1;
    *(void **)&cuInit = dlsym(driver, "cuInit");
    *(void **)&cuDeviceGetCount = dlsym(driver, "cuDeviceGetCount");
    if (!cuInit || !cuDeviceGetCount || cuInit(0) != 0 || cuDeviceGetCount(&count) != 0)
        return 2;
    printf("%d device\n", count);
    return 0;
}
#endif
