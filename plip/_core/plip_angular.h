/* Angular bases of the moments, for design rows and for potentials. Both are homogeneous polynomials of the vector to a
 * neighbor, taken at the unit vector u.
 *
 * Monomials u_x^a u_y^b u_z^c of degree l = a + b + c are number c (l + 1) - c (c - 1) / 2 + b of their degree. For two
 * unit vectors u, v
 *
 *     cos^l(theta) = sum over monomials of l! / (a! b! c!) u_x^a u_y^b u_z^c v_x^a v_y^b v_z^c.
 *
 * Real solid harmonics R_lm, in the order m = 0, cos 1, sin 1, cos 2, sin 2, ... of each degree l, have the norm
 *
 *     P_l(cos(theta)) = sum_m R_lm(u) R_lm(v).
 *
 * Strains. The sums over neighbors M = sum g(r) B(u) of the components B of degree l change with the strain by
 *
 *     dM/d(strain xy) = sum r_y d/dx [g(r) B(u)],
 *
 * which is a combination of sums with other components: of M, and of N = sum r g'(r) B(u). With one component of u after
 * the other, monomials give
 *
 *     r_y d/dx [g u^a] = (r g' - l g) u_x u_y u^a + a_x g u_y u^a / u_x,
 *
 * and harmonics, by the gradient formula r d/dx [g R_l] = (r g' - l g) [u_x R_l]_(l+1) + (r g' + (l+1) g) [u_x R_l]_(l-1)
 * (Varshalovich, Moskalev, Khersonskii, Quantum Theory of Angular Momentum, 1988, section 5.8.3), with [] the part of one
 * degree, for the part that is symmetric in x and y
 *
 *     (r g' - l g) [u_x u_y R_l]_(l+2) + (r g' + (l+1) g) [u_x u_y R_l]_(l-2)
 *         + (r g' + 3/2 g) ([u_x u_y R_l]_l - d_xy R_l / 3) + r g' d_xy R_l / 3.
 *
 * The factor 3/2 makes the strain an antihermitian operator, as it must be. The antisymmetric part is a rotation, which
 * no column feels. Strains are xx yy zz yz xz xy for monomials. For harmonics (xx + yy + zz) / 3, (xx - yy) / 2 and
 * zz - (xx + yy + zz) / 3, of which most weights vanish, take the place of xx yy zz. The *strain sources* of degree l are
 * these sums, one block after the other:
 *
 *     monomials: M_l, N_(l+2) - l M_(l+2);
 *     harmonics: N_l, N_(l-2) + (l+1) M_(l-2), N_l + 3/2 M_l, N_(l+2) - l M_(l+2).
 *
 * A strain that goes with cos(q phi), q = 1 for xz and 2 for (xx - yy) / 2, makes of the harmonic cos m a sum C+ of
 * sources cos(m + q) and a sum C- of sources cos|m - q|. With S+ and S- of the sines in place of the cosines, S- with the
 * sign of m - q, and with the strain of sin(q phi), yz or xy,
 *
 *     d cos m = C+ + C-, d sin m = S+ + S- by cos(q phi);  d cos m = S+ - S-, d sin m = C- - C+ by sin(q phi).
 */
#ifndef PLIP_ANGULAR_H
#define PLIP_ANGULAR_H

enum { PLIP_MONOMIALS, PLIP_HARMONICS, PLIP_N_BASES };

/* Monomials of one degree, and of all lower degrees. */
#define COMPONENTS(degree) (((degree) + 1) * ((degree) + 2) / 2)
#define FIRST_MONOMIAL(degree) ((degree) * ((degree) + 1) * ((degree) + 2) / 6)

/* Number of the monomial x^(degree - y - z) y^y z^z among those of its degree. */
#define MONOMIAL(degree, y, z) ((z) * ((degree) + 1) - (z) * ((z) - 1) / 2 + (y))

static inline int components_of(int basis, int degree)
{
    return basis == PLIP_HARMONICS ? 2 * degree + 1 : COMPONENTS(degree);
}

static inline int components_below(int basis, int degree)
{
    return basis == PLIP_HARMONICS ? degree * degree : FIRST_MONOMIAL(degree);
}

/* A component at u, with u_3 = 1, is the sum over k of factor[k] u[axis[k]] component[source[k]]; its gradient along x
 * over its degree, times its weight in contractions, is the sum over k of lower_weight[x][k] component[lower[x][k]]. */
typedef struct {
    int source[2], axis[2], lower[3][2];
    double factor[2], weight, lower_weight[3][2];
} plip_component;

/* All components up to max_degree[basis], -1 for none: monomials, then harmonics. */
void plip_make_components(const int max_degree[PLIP_N_BASES], plip_component *components);
/* weight times a strain source */
typedef struct {
    int source;
    double weight;
} plip_strain;

/* Entries of a monomial, two for each strain; of the harmonics of one order m of a degree, three for each of five sums,
 * one of each of the last three blocks of sources: for zz, then C+ and C- of q = 1 and of q = 2. Those of cosines stand
 * for sines, too, whose sources come next. */
enum { STRAIN_OF_MONOMIAL = 2, STRAIN_OF_ORDER = 3, STRAINS_OF_ORDER = 5 };

/* Entries of all degrees below one. */
static inline int strains_below(int basis, int degree)
{
    return basis == PLIP_HARMONICS ? STRAINS_OF_ORDER * STRAIN_OF_ORDER * degree * (degree + 1) / 2
                                   : 6 * STRAIN_OF_MONOMIAL * FIRST_MONOMIAL(degree);
}

/* The derivatives of all components up to max_degree[basis] with respect to the strains, times the weights of the
 * components, monomials first. Unused entries have the weight 0. The components must go two degrees further. */
void plip_make_strains(const int max_degree[PLIP_N_BASES], const plip_component *components, plip_strain *strains);

/* The weights of all monomials up to a degree. */
void plip_monomial_weights(int max_degree, double *weights);
/* cos^l = sum_k table[l][k] P_k(cos) for l, k < size. */
void plip_legendre_of_powers(int size, double *table);

/* coefficient A[a] B[b] C[c] of three monomials, numbered within their degrees */
typedef struct {
    int a, b, c;
    double coefficient;
} plip_summand;

/* (u_j.u_k)^p (u_k.u_m)^q (u_m.u_j)^t as a sum over monomials of u_j, u_k, u_m of degrees p + t, p + q, q + t:
 * COMPONENTS(p) COMPONENTS(q) COMPONENTS(t) summands. Each product of monomials of the three factors gives other
 * exponents, so that no two are alike. */
void plip_make_contraction(const int power[3], plip_summand *summands);

#endif
