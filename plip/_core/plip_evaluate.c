/* Evaluation of a potential: the kernels of all instruction sets. */
#include <math.h>
#include <string.h>

#include "plip_plan.h"
#include "plip_simd.h"

#define PLIP_KERNEL "plip_kernel.h"
#include "plip_variants.h"

const evaluate_function PLIP_EVALUATE[PLIP_N_SIMD] = PLIP_VARIANTS(evaluate);
const values_function PLIP_VALUES[PLIP_N_SIMD] = PLIP_VARIANTS(values);

int plip_evaluate(const plip_potential *potential, plip_workspace *workspace, const plip_system *system,
                  int n, plip_center *centers, int mask)
{
    return potential->evaluate(potential, workspace, system, n, centers, mask);
}
