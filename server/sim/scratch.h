/* A temporary folder, under TMPDIR. Any thread. */
#ifndef TRIB_SIM_SCRATCH_H
#define TRIB_SIM_SCRATCH_H

#include "base/status.h"

TRIB_MUST_CHECK enum trib_status trib_scratch_make(char **path, struct trib_error *error);
/* With all that is in it; frees the path. NULL is allowed. */
void trib_scratch_remove(char *path);

#endif
