/* What the injector's files share. */
#ifndef TRIB_TORTURE_PRIVATE_H
#define TRIB_TORTURE_PRIVATE_H

#include "torture.h"

/* One more of that kind: is it this one's turn? */
bool torture_fails(enum torture_kind kind);
/* Before the first connection. */
void torture_begin_database(void);

#endif
