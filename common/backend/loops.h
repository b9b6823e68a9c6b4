/* Hints for loops. Private to this block. */
#ifndef TRIB_BACKEND_MULTIVERSION_H
#define TRIB_BACKEND_MULTIVERSION_H

#include "base/clones.h"

/* A hint before a loop whose iterations do not depend on each other although its pointers may be equal (in-place
 * calls). */
#if defined(__clang__)
#define TRIB_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TRIB_INDEPENDENT _Pragma("GCC ivdep")
#endif

#endif
