/* Loops that are compiled once per instruction set and chosen when the program loads. Private to this block.
 *
 * With -ffp-contract=off and reductions over a fixed number of lanes, every version gives the same bits. */
#ifndef TRIB_BACKEND_MULTIVERSION_H
#define TRIB_BACKEND_MULTIVERSION_H

/* Sanitizers cannot run inside the resolvers that choose a version; clang 14 has no target_clones for this. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(TRIB_SANITIZED)
#define TRIB_MULTIVERSION __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TRIB_MULTIVERSION
#endif

#endif
