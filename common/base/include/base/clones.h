/* TRIB_CLONES before a function compiles its loops once per x86-64 level and picks the best one at load time. Only for
 * loops whose result does not depend on vector width: with -ffp-contract=off and reductions over a fixed number of
 * lanes, the clones give the same bits.
 *
 * Nothing elsewhere: clang 14 knows no such levels, sanitizers cannot run inside the resolvers that do the choosing,
 * and other C libraries than glibc do not run them. Nor when coverage is measured: a machine runs one of the clones. */
#ifndef TRIB_BASE_CLONES_H
#define TRIB_BASE_CLONES_H

#include <stdint.h> /* defines __GLIBC__ where it is */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__GLIBC__) &&                           \
    !defined(TRIB_SANITIZED) && !defined(TRIB_COVERAGE)
#define TRIB_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TRIB_CLONES
#endif

#endif
