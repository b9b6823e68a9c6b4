/* Calls between the two files of this room. */
#ifndef TRIB_SETUP_SETUP_PRIVATE_H
#define TRIB_SETUP_SETUP_PRIVATE_H

#include "setup/rooms.h"

/* Everything that leaves no trace on disk. */
TRIB_MUST_CHECK enum trib_status trib_setup_compute(struct trib_rooms *rooms, struct trib_error *error);
/* The round machine; after the journal is open, where there is one. */
TRIB_MUST_CHECK enum trib_status trib_setup_round(struct trib_rooms *rooms, struct trib_error *error);

#endif
