/* The backend tables, one a row of backend_list.def. Private to this block. */
#ifndef TRIB_BACKEND_TABLES_H
#define TRIB_BACKEND_TABLES_H

#include "backend/backend.h"

#define BACKEND(name) extern const struct trib_backend trib_backend_##name;
#include "backend_list.def"
#undef BACKEND

/* The reference kernel of an op is what an execution falls back to in host memory. Never NULL. */
trib_kernel trib_reference_kernel(enum trib_op op);

#endif
