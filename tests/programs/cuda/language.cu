// The language: classes, templates, lambdas, structures by value, switches, globals, constants, unions, vectors, dynamic
// indexing, values without a beginning.

// --- Structures by value, nested and with padding ---
struct Inner {
    short a;
    double b;
    char c;
};
struct Parameters {
    int scale;
    Inner inner[2];
    float3 offset;
    bool negate;
    unsigned long long mask;
};

extern "C" __global__ void by_value(Parameters p, char tail, double* output) {
    double value = p.scale * (p.inner[0].a + p.inner[1].a) + p.inner[threadIdx.x & 1].b * p.inner[0].c;
    value += p.offset.x + p.offset.y * 2 + p.offset.z * 4 + (p.mask >> 40) + tail;
    output[threadIdx.x] = p.negate ? -value : value;
    output[4 + threadIdx.x] = sizeof(Parameters);
}

// --- Classes with operators, inheritance, and templates over them ---
template <int N>
struct Vector {
    float v[N];
    __device__ float& operator[](int i) { return v[i]; }
    __device__ float operator[](int i) const { return v[i]; }
    __device__ Vector operator+(const Vector& o) const {
        Vector r;
        for (int i = 0; i < N; i++) r[i] = v[i] + o[i];
        return r;
    }
    __device__ Vector& operator*=(float s) {
        for (float& x : v) x *= s;
        return *this;
    }
    __device__ float dot(const Vector& o) const {
        float sum = 0;
        for (int i = 0; i < N; i++) sum += v[i] * o[i];
        return sum;
    }
};

template <int N, typename... Rest>
__device__ Vector<N> total(const Vector<N>& first, const Rest&... rest) {
    if constexpr (sizeof...(rest) == 0) return first;
    else return first + total(rest...);
}

class Counter {
  protected:
    int count = 0;

  public:
    __device__ Counter(int start) : count(start) {}
    __device__ int next() { return count++; }
};
class Stepper : public Counter {
    int step;

  public:
    __device__ Stepper(int start, int step) : Counter(start), step(step) {}
    __device__ int next() {
        int now = Counter::next();
        count += step - 1;
        return now;
    }
};

extern "C" __global__ void classes(float* output) {
    Stepper stepper(threadIdx.x, 3);
    Vector<5> a, b;
    for (int i = 0; i < 5; i++) a[i] = stepper.next(), b[i] = stepper.next();
    Vector<5> sum = total(a, b, a);
    sum *= 0.5f;
    output[threadIdx.x] = sum.dot(b);
}

// --- Lambdas and function objects ---
template <typename F>
__device__ int apply(F f, int n) {
    int result = 0;
    for (int i = 0; i < n; i++) result = f(result, i);
    return result;
}

extern "C" __global__ void lambdas(int* output) {
    int base = threadIdx.x, calls = 0;
    auto counted = [&](int a, int b) {
        calls++;
        return a * 3 + b + base;
    };
    auto mixed = [=](int a, int b) { return a ^ b << (base & 7); };
    output[threadIdx.x] = apply(counted, base % 5) * 1000 + apply(mixed, 6) + calls;
}

// --- A jump table ---
extern "C" __global__ void jump_table(const int* programs, int length, int* output) {
    int a = threadIdx.x, b = 1;
    for (int i = 0; i < length; i++) {
        int operand = programs[i] >> 8;
        switch (programs[(i + threadIdx.x % 3) % length] & 15) {
            case 0: a += operand; break;
            case 1: a -= b; break;
            case 2: b = a; break;
            case 3: a *= 3; break;
            case 4: a ^= b << 2; break;
            case 5: b += 7; break;
            case 6: a = ~a; break;
            case 7: b = -b; break;
            case 8: a = max(a, b); break;
            case 9: a = a << 1 | (unsigned)a >> 31; break;
            case 10: if (a & 1) break;
            case 11: b ^= a; break;
            default: a--;
        }
    }
    output[threadIdx.x] = a ^ b;
}

// --- Variables of the module ---
__device__ int device_counter = 5;
__device__ float device_table[4] = {1.5f, -2.5f, 3.25f};
__constant__ int constant_table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
__constant__ Inner constant_structure = {7, 2.5, 'x'};
__device__ const char* names[3] = {"zero", "one", "two"};
static __device__ unsigned long long hidden = 1ull << 40;

extern "C" __global__ void globals(int* output, float* floats) {
    int i = threadIdx.x;
    output[i] = constant_table[i % 8] * 10 + constant_structure.a + (int)constant_structure.b + constant_structure.c;
    floats[i] = device_table[i % 4];
    const char* name = names[i % 3];
    int length = 0;
    while (name[length]) length++;
    output[32 + i] = length * 256 + name[i % length];
    atomicAdd(&hidden, 1ull);
    if (i == 0) device_counter += 2;
    __syncthreads();
    output[64 + i] = device_counter + (int)(hidden >> 40);
}

// --- Unions, bit fields, punning ---
union Pun {
    float f;
    unsigned u;
    unsigned short h[2];
    unsigned char b[4];
};
struct Fields {
    unsigned low : 5;
    int middle : 11;
    unsigned high : 16;
};

extern "C" __global__ void punning(const float* input, unsigned* output) {
    Pun pun;
    pun.f = input[threadIdx.x];
    pun.b[3] ^= 0x80;
    pun.h[0] = pun.h[0] << 3 | pun.h[0] >> 13;
    Fields fields;
    fields.low = pun.u;
    fields.middle = pun.u >> 7;
    fields.high = pun.h[1];
    fields.middle -= 5;
    unsigned bits;
    memcpy(&bits, &fields, 4);
    output[threadIdx.x] = pun.u;
    output[32 + threadIdx.x] = bits;
    output[64 + threadIdx.x] = fields.middle * 3 + fields.low;
}

// --- Arrays of a thread, indexed by data ---
extern "C" __global__ void local_arrays(const int* input, int* output) {
    int histogram[10] = {}, order[16];
    short small[7];
    int seed = input[threadIdx.x];
    for (int i = 0; i < 16; i++) {
        order[i] = i;
        histogram[(seed + i * i) % 10]++;
    }
    for (int i = 15; i > 0; i--) {
        seed = seed * 1103515245 + 12345;
        int j = (unsigned)seed >> 16 & 15;
        j %= i + 1;
        int swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (int i = 0; i < 7; i++) small[i] = order[i] * histogram[order[i] % 10];
    int digest = 0;
    for (int i = 0; i < 16; i++) digest = digest * 31 + order[i] + small[order[i] % 7];
    output[threadIdx.x] = digest;
}

// --- Values that have none in the first round ---
extern "C" __global__ void carried(const int* input, int* output, int n) {
    int before, sum = 0;
    for (int i = 0; i < n; i++) {
        int now = input[i] * 3 + threadIdx.x;
        if (i > 0) sum += before ^ now;
        before = now;
    }
    output[threadIdx.x] = sum;
}

// --- Dynamic shared memory, carved into arrays of different types, beside static ---
extern "C" __global__ void carved(const int* input, double* output, int n) {
    extern __shared__ __align__(16) unsigned char raw[];
    __shared__ int fixed[33];
    double* doubles = (double*)raw;
    short* shorts = (short*)(doubles + n);
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        doubles[i] = input[i] / 4.0;
        shorts[i] = input[n - 1 - i];
    }
    if (threadIdx.x < 33) fixed[threadIdx.x] = threadIdx.x * threadIdx.x;
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x) output[i] = doubles[n - 1 - i] * shorts[i] + fixed[i % 33];
}

// --- Vector types of every size ---
extern "C" __global__ void vectors(const char4* c, const short4* s, const int2* i, const float4* f, const longlong2* l,
                                   const double2* d, const uchar2* u, double* sums) {
    int t = threadIdx.x;
    char4 cc = c[t];
    short4 ss = s[t];
    int2 ii = i[t];
    float4 ff = f[t];
    longlong2 ll = l[t];
    double2 dd = d[t];
    uchar2 uu = u[t];
    sums[t] = cc.x + cc.y * 2 + cc.z * 3 + cc.w * 4 + ss.x + ss.y * 2 + ss.z * 3 + ss.w * 4 + ii.x + ii.y * 2.0 + ff.x + ff.y * 2 +
              ff.z * 3 + ff.w * 4 + (double)ll.x + (double)ll.y * 2 + dd.x + dd.y * 2 + uu.x + uu.y * 2;
}

extern "C" __global__ void vector_stores(int4* a, ushort4* b, double2* c, char2* d) {
    int t = threadIdx.x;
    a[t] = make_int4(t, -t, t * t, 7);
    b[t] = make_ushort4(t, 65535 - t, t * 3, 9);
    c[t] = make_double2(t / 8.0, -t);
    d[t] = make_char2(t, -t);
}

// --- Numbers of threads and blocks in three dimensions ---
extern "C" __global__ void indices(unsigned* output) {
    unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    unsigned threads = blockDim.x * blockDim.y * blockDim.z, lane, warp;
    asm("mov.u32 %0, %%laneid;" : "=r"(lane));
    asm volatile("mov.u32 %0, %%warpid;" : "=r"(warp));
    unsigned* out = output + (block * threads + thread) * 3;
    out[0] = blockIdx.x | blockIdx.y << 4 | blockIdx.z << 8 | threadIdx.x << 12 | threadIdx.y << 16 | threadIdx.z << 20;
    out[1] = lane;
    out[2] = warp;
}

// --- Clocks go on ---
extern "C" __global__ void clocks(long long* output) {
    long long start = clock64(), wall;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(wall));
    while (clock64() - start < 1000) {}
    unsigned low = clock();
    output[0] = clock64() - start;
    output[1] = wall > 0 && low != 0;
}
