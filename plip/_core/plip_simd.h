/* Instruction sets that kernels are compiled for, and which of them this processor runs. */
#ifndef PLIP_SIMD_H
#define PLIP_SIMD_H

/* Fastest first. */
enum { PLIP_AVX512, PLIP_AVX2, PLIP_BASELINE, PLIP_N_SIMD };

/* Names and doubles per vector. */
extern const char *const PLIP_SIMD_NAMES[PLIP_N_SIMD];
extern const int PLIP_SIMD_LANES[PLIP_N_SIMD];

/* Whether kernels are compiled for an instruction set. */
int plip_simd_is_built(int simd);
/* Whether they are, and the processor has it. */
int plip_simd_runs(int simd);
/* The instruction set of a name, the fastest one for "auto"; -1 if it is unknown or does not run here. */
int plip_simd_find(const char *name);

#endif
