#include <string.h>

#include "plip_simd.h"
#include "plip_variants.h"

const char *const PLIP_SIMD_NAMES[PLIP_N_SIMD] = {"avx512", "avx2", "baseline"};
const int PLIP_SIMD_LANES[PLIP_N_SIMD] = {8, 4, PLIP_BASELINE_LANES};

int plip_simd_is_built(int simd)
{
    return PLIP_X86 ? simd >= 0 && simd < PLIP_N_SIMD : simd == PLIP_BASELINE;
}

#if PLIP_X86
/* Asked for by hand, since not every library of a compiler has what __builtin_cpu_supports needs: clang-cl's and Zig's
 * have not. */
#include <cpuid.h>

/* Whether the processor has the bits `ebx` and `ecx` of a leaf of CPUID. */
static int has_bits(unsigned leaf, unsigned ebx, unsigned ecx)
{
    unsigned a, b, c, d;

    return __get_cpuid_count(leaf, 0, &a, &b, &c, &d) && (b & ebx) == ebx && (c & ecx) == ecx;
}

/* Whether the system keeps these parts of the registers: 0x06 those of AVX, 0xe6 those of AVX-512, too. */
static int keeps(unsigned parts)
{
    unsigned low, high;

    /* OSXSAVE: the system has said so. */
    if (!has_bits(1, 0, 1u << 27))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & parts) == parts;
}

/* AVX, FMA; AVX2. */
static int has_avx2(void)
{
    return keeps(0x06) && has_bits(1, 0, 1u << 28 | 1u << 12) && has_bits(7, 1u << 5, 0);
}

/* AVX512F, AVX512DQ, AVX512VL. */
static int has_avx512(void)
{
    return has_avx2() && keeps(0xe6) && has_bits(7, 1u << 16 | 1u << 17 | 1u << 31, 0);
}
#else
static int has_avx2(void) { return 0; }
static int has_avx512(void) { return 0; }
#endif

int plip_simd_runs(int simd)
{
    switch (simd) {
    case PLIP_AVX512: return has_avx512();
    case PLIP_AVX2: return has_avx2();
    default: return simd == PLIP_BASELINE;
    }
}

int plip_simd_find(const char *name)
{
    const int automatic = strcmp(name, "auto") == 0;
    int simd;

    for (simd = 0; simd < PLIP_N_SIMD; simd++)
        if ((automatic || strcmp(name, PLIP_SIMD_NAMES[simd]) == 0) && plip_simd_runs(simd))
            return simd;
    return -1;
}
