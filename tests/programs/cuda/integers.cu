// Integer kernels: SHA-256, CRC, AES, Philox, big numbers, bit tricks, 128 bits, divisions, strings.

// --- SHA-256, one message a thread, already padded ---
__constant__ unsigned sha_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

__device__ __forceinline__ unsigned rotate_right(unsigned x, int n) { return __funnelshift_r(x, x, n); }

extern "C" __global__ void sha256(const unsigned char* messages, unsigned* digests, int blocks) {
    const unsigned char* message = messages + threadIdx.x * blocks * 64;
    unsigned h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (int block = 0; block < blocks; block++) {
        unsigned w[64];
        for (int i = 0; i < 16; i++) w[i] = __byte_perm(((const unsigned*)message)[block * 16 + i], 0, 0x0123);
        for (int i = 16; i < 64; i++) {
            unsigned a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + w[i - 7] + (rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3) +
                   (rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10);
        }
        unsigned v[8];
        for (int i = 0; i < 8; i++) v[i] = h[i];
        for (int i = 0; i < 64; i++) {
            unsigned s1 = rotate_right(v[4], 6) ^ rotate_right(v[4], 11) ^ rotate_right(v[4], 25);
            unsigned t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha_constants[i] + w[i];
            unsigned s0 = rotate_right(v[0], 2) ^ rotate_right(v[0], 13) ^ rotate_right(v[0], 22);
            unsigned t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            for (int j = 7; j > 0; j--) v[j] = v[j - 1];
            v[4] += t1;
            v[0] = t1 + t2;
        }
        for (int i = 0; i < 8; i++) h[i] += v[i];
    }
    for (int i = 0; i < 8; i++) digests[threadIdx.x * 8 + i] = h[i];
}

// --- CRC-32 by a table in shared memory, made by the block, of chunks that are combined by shifting through zeros ---
extern "C" __global__ void crc32(const unsigned char* data, unsigned* result, int chunk) {
    __shared__ unsigned table[256], parts[64];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
        unsigned c = i;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        table[i] = c;
    }
    __syncthreads();
    unsigned c = threadIdx.x == 0 ? 0xffffffffu : 0;
    for (int i = 0; i < chunk; i++) c = table[(c ^ data[threadIdx.x * chunk + i]) & 255] ^ c >> 8;
    for (int i = chunk * (blockDim.x - 1 - threadIdx.x); i > 0; i--) c = table[c & 255] ^ c >> 8;
    parts[threadIdx.x] = c;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 1; i < blockDim.x; i++) c ^= parts[i];
        *result = ~c;
    }
}

// --- AES-128, one block a thread, with the field's arithmetic instead of tables but for the S-box ---
__device__ unsigned char times2(unsigned char x) { return x << 1 ^ (x & 0x80 ? 0x1b : 0); }

extern "C" __global__ void aes128(const unsigned char* plain, const unsigned char* round_keys, const unsigned char* sbox, unsigned char* cipher) {
    unsigned char state[16], next[16];
    for (int i = 0; i < 16; i++) state[i] = plain[threadIdx.x * 16 + i] ^ round_keys[i];
    for (int round = 1; round <= 10; round++) {
        for (int column = 0; column < 4; column++)
            for (int row = 0; row < 4; row++) next[column * 4 + row] = sbox[state[(column + row) % 4 * 4 + row]];
        for (int column = 0; column < 4; column++) {
            unsigned char* a = next + column * 4;
            unsigned char all = a[0] ^ a[1] ^ a[2] ^ a[3], first = a[0];
            for (int row = 0; row < 4; row++) {
                unsigned char b = row == 3 ? first : a[row + 1];
                unsigned char mixed = round < 10 ? a[row] ^ all ^ times2(a[row] ^ b) : a[row];
                state[column * 4 + row] = mixed ^ round_keys[round * 16 + column * 4 + row];
            }
        }
    }
    for (int i = 0; i < 16; i++) cipher[threadIdx.x * 16 + i] = state[i];
}

// --- Philox 4x32-10 ---
extern "C" __global__ void philox(uint4* output, uint2 key, unsigned offset) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    uint4 c = make_uint4(i, offset, 0, 0);
    for (int round = 0; round < 10; round++) {
        unsigned h0 = __umulhi(0xD2511F53u, c.x), l0 = 0xD2511F53u * c.x;
        unsigned h1 = __umulhi(0xCD9E8D57u, c.z), l1 = 0xCD9E8D57u * c.z;
        c = make_uint4(h1 ^ c.y ^ key.x, l1, h0 ^ c.w ^ key.y, l0);
        key.x += 0x9E3779B9u;
        key.y += 0xBB67AE85u;
    }
    output[i] = c;
}

// --- Numbers of 256 bits: sum, difference and product, by carries in inline assembly ---
extern "C" __global__ void big_numbers(const unsigned* a, const unsigned* b, unsigned* sums, unsigned* differences, unsigned* products) {
    int t = threadIdx.x;
    unsigned x[8], y[8], r[16];
    for (int i = 0; i < 8; i++) x[i] = a[t * 8 + i], y[i] = b[t * 8 + i];
    asm("add.cc.u32 %0, %8, %16;\n\taddc.cc.u32 %1, %9, %17;\n\taddc.cc.u32 %2, %10, %18;\n\taddc.cc.u32 %3, %11, %19;\n\t"
        "addc.cc.u32 %4, %12, %20;\n\taddc.cc.u32 %5, %13, %21;\n\taddc.cc.u32 %6, %14, %22;\n\taddc.u32 %7, %15, %23;"
        : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]), "=r"(r[4]), "=r"(r[5]), "=r"(r[6]), "=r"(r[7])
        : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(x[4]), "r"(x[5]), "r"(x[6]), "r"(x[7]), "r"(y[0]), "r"(y[1]),
          "r"(y[2]), "r"(y[3]), "r"(y[4]), "r"(y[5]), "r"(y[6]), "r"(y[7]));
    for (int i = 0; i < 8; i++) sums[t * 8 + i] = r[i];
    asm("sub.cc.u32 %0, %8, %16;\n\tsubc.cc.u32 %1, %9, %17;\n\tsubc.cc.u32 %2, %10, %18;\n\tsubc.cc.u32 %3, %11, %19;\n\t"
        "subc.cc.u32 %4, %12, %20;\n\tsubc.cc.u32 %5, %13, %21;\n\tsubc.cc.u32 %6, %14, %22;\n\tsubc.u32 %7, %15, %23;"
        : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]), "=r"(r[4]), "=r"(r[5]), "=r"(r[6]), "=r"(r[7])
        : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(x[4]), "r"(x[5]), "r"(x[6]), "r"(x[7]), "r"(y[0]), "r"(y[1]),
          "r"(y[2]), "r"(y[3]), "r"(y[4]), "r"(y[5]), "r"(y[6]), "r"(y[7]));
    for (int i = 0; i < 8; i++) differences[t * 8 + i] = r[i];
    for (int i = 0; i < 16; i++) r[i] = 0;
    for (int i = 0; i < 8; i++) {
        unsigned carry = 0;
        for (int j = 0; j < 8; j++) {
            // r += x * y + carry, in 64 bits of two halves.
            asm("{\n\t.reg .u32 low, high;\n\tmul.lo.u32 low, %2, %3;\n\tmul.hi.u32 high, %2, %3;\n\tadd.cc.u32 low, low, %1;\n\t"
                "addc.u32 high, high, 0;\n\tadd.cc.u32 %0, %0, low;\n\taddc.u32 %1, high, 0;\n\t}"
                : "+r"(r[i + j]), "+r"(carry) : "r"(x[i]), "r"(y[j]));
        }
        r[i + 8] = carry;
    }
    for (int i = 0; i < 16; i++) products[t * 16 + i] = r[i];
}

// --- 64 and 128 bits ---
extern "C" __global__ void wide_arithmetic(const long long* a, const long long* b, long long* output) {
    int t = threadIdx.x;
    long long x = a[t], y = b[t];
    unsigned long long ux = x, uy = y;
    long long* out = output + t * 16;
    out[0] = x / y;
    out[1] = x % y;
    out[2] = (long long)(ux / uy);
    out[3] = (long long)(ux % uy);
    out[4] = __mul64hi(x, y);
    out[5] = (long long)__umul64hi(ux, uy);
    out[6] = (int)x / ((int)y | 1);
    out[7] = (unsigned)ux % ((unsigned)uy | 1);
    __int128 wide = (__int128)x * y;
    out[8] = (long long)(wide >> 64);
    out[9] = (long long)wide;
    wide = (wide ^ x) + ((__int128)y << 70);
    out[10] = (long long)(wide >> 64);
    out[11] = (long long)wide;
    unsigned __int128 quotient = ((unsigned __int128)ux << 64 | uy) / (uy | 1);
    out[12] = (long long)(quotient >> 64);
    out[13] = (long long)quotient;
    out[14] = x >> (y & 63);
    out[15] = (long long)(ux << (uy & 63));
}

// --- Bit tricks ---
extern "C" __global__ void bits(const unsigned* a, const unsigned* b, unsigned* output) {
    int t = threadIdx.x;
    unsigned x = a[t], y = b[t];
    unsigned long long xy = (unsigned long long)x << 32 | y;
    unsigned* out = output + t * 32;
    out[0] = __clz(x);
    out[1] = __clzll(xy);
    out[2] = __popc(x);
    out[3] = __popcll(xy);
    out[4] = __brev(x);
    unsigned long long reversed = __brevll(xy);
    out[5] = reversed >> 32;
    out[6] = (unsigned)reversed;
    out[7] = __ffs(x);
    out[8] = __ffsll(xy);
    out[9] = __byte_perm(x, y, 0x7531);
    out[10] = __byte_perm(x, y, y & 0x7777);
    out[11] = __funnelshift_l(x, y, y);
    out[12] = __funnelshift_r(x, y, y & 31);
    out[13] = __funnelshift_lc(x, y, y & 63);
    out[14] = __funnelshift_rc(x, y, y & 63);
    out[15] = __sad((int)x, (int)y, 7);
    out[16] = __usad(x, y, 7);
    out[17] = __hadd((int)x, (int)y);
    out[18] = __urhadd(x, y);
    out[19] = __mul24((int)x, (int)y);
    out[20] = __umul24(x, y);
    out[21] = __vadd4(x, y);
    out[22] = __vabsdiffu4(x, y);
    out[23] = __vmaxs2(x, y);
    out[24] = __vcmpgtu4(x, y);
    out[25] = __vaddus2(x, y);
    asm("bfe.u32 %0, %1, %2, 9;" : "=r"(out[26]) : "r"(x), "r"(y & 31));
    asm("bfe.s32 %0, %1, %2, 9;" : "=r"(out[27]) : "r"(x), "r"(y & 31));
    asm("bfi.b32 %0, %1, %2, %3, 11;" : "=r"(out[28]) : "r"(x), "r"(y), "r"(y & 15));
    asm("lop3.b32 %0, %1, %2, 0x0f0f3355, 0x96;" : "=r"(out[29]) : "r"(x), "r"(y));
    asm("bfind.u32 %0, %1;" : "=r"(out[30]) : "r"(x));
    asm("prmt.b32.f4e %0, %1, %2, %3;" : "=r"(out[31]) : "r"(x), "r"(y), "r"(y & 3));
}

// Morton order, Gray codes, reversed decimal digits, integer roots: loops whose length depends on the data.
extern "C" __global__ void digits(const unsigned* input, unsigned* output) {
    int t = threadIdx.x;
    unsigned n = input[t], reversed = 0;
    auto spread = [](unsigned x) {
        x &= 0xffff;
        x = (x | x << 8) & 0x00ff00ff;
        x = (x | x << 4) & 0x0f0f0f0f;
        x = (x | x << 2) & 0x33333333;
        return (x | x << 1) & 0x55555555;
    };
    for (unsigned rest = n; rest; rest /= 10) reversed = reversed * 10 + rest % 10;
    unsigned root = 0;
    for (unsigned bit = 1u << 15; bit; bit >>= 1)
        if ((root | bit) * (root | bit) <= n) root |= bit;
    unsigned steps = 0;
    for (unsigned long long c = n; c > 1; steps++) c = c & 1 ? 3 * c + 1 : c >> 1;
    unsigned a = n, b = 360360;
    while (b) {
        unsigned r = a % b;
        a = b;
        b = r;
    }
    output[t * 6] = spread(n) | spread(n >> 16) << 1;
    output[t * 6 + 1] = n ^ n >> 1;
    output[t * 6 + 2] = reversed;
    output[t * 6 + 3] = root;
    output[t * 6 + 4] = steps;
    output[t * 6 + 5] = a;
}

// --- Text: words counted, letters' case changed, a pattern found ---
__device__ bool is_letter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

extern "C" __global__ void text(char* letters, int length, int* words, const char* pattern, int pattern_length, int* found) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    bool starts = i < length && is_letter(letters[i]) && (i == 0 || !is_letter(letters[i - 1]));
    unsigned votes = __ballot_sync(~0u, starts);
    if (threadIdx.x % 32 == 0) atomicAdd(words, __popc(votes));
    if (i + pattern_length <= length) {
        int j = 0;
        while (j < pattern_length && (letters[i + j] | 32) == pattern[j]) j++;
        if (j == pattern_length) atomicMin(found, i);
    }
}

extern "C" __global__ void change_case(char* letters, int length) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < length && is_letter(letters[i])) letters[i] ^= 32;
}
