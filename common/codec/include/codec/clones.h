/* TRIB_CLONES before a function compiles its loop once per x86-64 level and picks the best one at load time. Only for
 * loops whose result does not depend on vector width: the clones must give the same bits. Nothing elsewhere: clang 14
 * knows no such levels, and sanitizers cannot follow the indirect function that does the choosing. */
#ifndef TRIB_CODEC_CLONES_H
#define TRIB_CODEC_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(TRIB_SANITIZED)
#define TRIB_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TRIB_CLONES
#endif

#endif
