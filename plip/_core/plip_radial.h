/* Radial functions: value, first and second derivative with respect to the distance. Their equations stand in
 * plip_radial.c and plip_gaussian.h and nowhere else. */
#ifndef PLIP_RADIAL_H
#define PLIP_RADIAL_H

#ifdef __cplusplus
extern "C" {
#endif

/* Codes of the families; those of plip.radial. */
enum {
    PLIP_GAUSSIAN,
    PLIP_SLATER,
    PLIP_GAUSSIAN_TYPE,
    PLIP_STILLINGER_WEBER,
    PLIP_POWER,
    PLIP_LORENTZIAN,
    PLIP_LOG_NORMAL,
    PLIP_LENNARD_JONES,
    PLIP_N_FAMILIES
};

/* The switch of a density rises between these parts of the shortest distance (Benoit et al., Mach. Learn.: Sci.
 * Technol. 2, 025003 (2021)). */
#define PLIP_SWITCH_BEGIN 0.95
#define PLIP_SWITCH_END 1.05

/* phi(r), without the cutoff function. */
void plip_phi(int family, double p, double q, double r, double result[3]);
/* (1 + cos(pi r / cutoff)) / 2 below the cutoff; zero beyond it, and at the cutoff the limits from below. */
void plip_cutoff_function(double cutoff, double r, double result[3]);
/* 6u^5 - 15u^4 + 10u^3, from 0 to 1 around the shortest distance. */
void plip_switch(double shortest, double r, double result[3]);
/* f times another function. */
void plip_multiply(double f[3], const double factor[3]);
/* g(r) = phi(r) f_c(r), times the switch if switch_distance > 0. */
void plip_radial(int family, double p, double q, double cutoff, double switch_distance, double r,
                 double result[3]);
/* result times phi(r), and the switch; r is not beyond the cutoff. */
void plip_multiply_radial(int family, double p, double q, double switch_distance, double r, double result[3]);

#ifdef __cplusplus
}
#endif

#endif
