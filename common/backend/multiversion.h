/* Loops that are compiled once per instruction set and chosen when the program loads. Private to this block.
 *
 * With -ffp-contract=off and reductions over a fixed number of lanes, every version gives the same bits. */
#ifndef TRIB_BACKEND_MULTIVERSION_H
#define TRIB_BACKEND_MULTIVERSION_H

#include <stdint.h> /* defines __GLIBC__ where it is; other C libraries do not run the resolvers */

/* Sanitizers cannot run inside the resolvers that choose a version; clang 14 has no target_clones. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__GLIBC__) && !defined(TRIB_SANITIZED)
#define TRIB_MULTIVERSION __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TRIB_MULTIVERSION
#endif

/* Before a loop whose iterations do not depend on each other although its pointers may be equal (in-place calls). */
#if defined(__clang__)
#define TRIB_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TRIB_INDEPENDENT _Pragma("GCC ivdep")
#endif

#endif
