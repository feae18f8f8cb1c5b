/* Compiles a kernel once per instruction set. A kernel is a header of static functions; to compile it,
 *
 *     #define PLIP_KERNEL "plip_kernel.h"
 *     #include "plip_variants.h"
 *
 * includes it with LANES, the doubles per vector, and NAME(f), the name of f in this variant. PLIP_VARIANTS(f) then
 * lists the variants of f in the order of plip_simd.h, NULL for those that are not built.
 */
#ifndef PLIP_VARIANTS_H
#define PLIP_VARIANTS_H

/* Vectors and attributes of GCC and Clang, clang-cl too. Other compilers get one lane, and so does PLIP_ISO_C. */
#if (defined(__GNUC__) || defined(__clang__)) && !defined(PLIP_ISO_C)
#define PLIP_GNU 1
#else
#define PLIP_GNU 0
#endif

#if PLIP_GNU && (defined(__x86_64__) || defined(__i386__))
#define PLIP_X86 1
#define PLIP_VARIANTS(f) {f##_avx512, f##_avx2, f##_baseline}
#else
#define PLIP_X86 0
#define PLIP_VARIANTS(f) {0, 0, f##_baseline}
#endif

#if PLIP_GNU
#define PLIP_BASELINE_LANES 2
#else
#define PLIP_BASELINE_LANES 1
#endif

#if PLIP_X86 && defined(__clang__)
#define BEGIN_TARGET_AVX2 _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to = function)")
#define BEGIN_TARGET_AVX512 \
    _Pragma( \
        "clang attribute push(__attribute__((target(\"avx512f,avx512dq,avx512vl,avx2,fma\"))), apply_to = function)")
#define END_TARGET _Pragma("clang attribute pop")
#elif PLIP_X86
#define BEGIN_TARGET_AVX2 _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma\")")
#define BEGIN_TARGET_AVX512 \
    _Pragma("GCC push_options") _Pragma("GCC target(\"avx512f,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512\")")
#define END_TARGET _Pragma("GCC pop_options")
#endif

/* Before loops over neighbors whose arrays do not overlap. */
#if !PLIP_GNU
#define INDEPENDENT
#elif defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

/* Before loops of few rounds, at most so many, whose number is known where they are inlined. Where it is not, they stay
 * loops, which Clang would warn of. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed"
#define UNROLL(n) _Pragma("unroll")
#elif PLIP_GNU
#define UNROLL(n) PLIP_PRAGMA(GCC unroll n)
#define PLIP_PRAGMA(words) _Pragma(#words)
#else
#define UNROLL(n)
#endif

#if PLIP_GNU
#define FORCE_INLINE inline __attribute__((always_inline))
#define ALIGNED(bytes) __attribute__((aligned(bytes)))
#else
#define FORCE_INLINE inline
#define ALIGNED(bytes)
#endif

#if PLIP_GNU && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define PLIP_SHUFFLES 1
#endif
#endif
#ifndef PLIP_SHUFFLES
#define PLIP_SHUFFLES 0
#endif

#endif

#ifdef PLIP_KERNEL
#define LANES PLIP_BASELINE_LANES
#define NAME(f) f##_baseline
#include PLIP_KERNEL
#undef LANES
#undef NAME

#if PLIP_X86
BEGIN_TARGET_AVX2
#define LANES 4
#define NAME(f) f##_avx2
#include PLIP_KERNEL
#undef LANES
#undef NAME
END_TARGET

BEGIN_TARGET_AVX512
#define LANES 8
#define NAME(f) f##_avx512
#include PLIP_KERNEL
#undef LANES
#undef NAME
END_TARGET
#endif
#undef PLIP_KERNEL
#endif
