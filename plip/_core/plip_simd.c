#include <string.h>

#include "plip_simd.h"
#include "plip_variants.h"

const char *const PLIP_SIMD_NAMES[PLIP_N_SIMD] = {"avx512", "avx2", "baseline"};
const int PLIP_SIMD_LANES[PLIP_N_SIMD] = {8, 4, PLIP_BASELINE_LANES};

int plip_simd_is_built(int simd)
{
    return PLIP_X86 ? simd >= 0 && simd < PLIP_N_SIMD : simd == PLIP_BASELINE;
}

#if PLIP_X86 && defined(_MSC_VER)
/* clang-cl, which is linked without the library that its __builtin_cpu_supports needs. */
#include <intrin.h>

/* Whether the processor has the bits `wanted` of register `number` for a leaf of CPUID. */
static int has_bits(int leaf, int number, unsigned wanted)
{
    int registers[4];

    __cpuid(registers, 0);
    if (registers[0] < leaf)
        return 0;
    __cpuidex(registers, leaf, 0);
    return ((unsigned)registers[number] & wanted) == wanted;
}

/* Whether the system keeps these parts of the registers. Bits of leaf 1: OSXSAVE 27, AVX 28, FMA 12. */
static __attribute__((target("xsave"))) int keeps(unsigned parts)
{
    return has_bits(1, 2, 1u << 27 | 1u << 28 | 1u << 12) && (_xgetbv(0) & parts) == parts;
}

/* Bits of leaf 7: AVX2 5, AVX512F 16, AVX512DQ 17, AVX512VL 31. */
static int has_avx2(void)
{
    return keeps(0x06) && has_bits(7, 1, 1u << 5);
}

static int has_avx512(void)
{
    return has_avx2() && keeps(0xe6) && has_bits(7, 1, 1u << 16 | 1u << 17 | 1u << 31);
}
#elif PLIP_X86
static int has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
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
