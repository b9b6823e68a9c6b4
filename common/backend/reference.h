/* The reference kernels: naive, single-threaded, sums in double. The oracle of every other backend, so they share no
 * arithmetic with one (but for dropout, whose mask is the same by definition). A row of op.def without a kernel here
 * does not link. Private to this block. */
#ifndef TRIB_BACKEND_REFERENCE_H
#define TRIB_BACKEND_REFERENCE_H

#include "backend/backend.h"

#define OP(code, name, ...) void trib_reference_##name(const struct trib_kernel_call *call);
#include "graph/op.def"
#undef OP

/* The fused activation of linear and conv2d. */
float trib_reference_activate(enum trib_activation activation, float x);

#endif
