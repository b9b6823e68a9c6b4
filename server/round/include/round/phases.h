/* The phases of a round as settings and help see them. */
#ifndef TRIB_ROUND_PHASES_H
#define TRIB_ROUND_PHASES_H

#include "base/config.h"

struct trib_phase_info {
    const char *name; /* "upload" */
    const char *help;
    const struct trib_config_row *rows; /* [n_rows] its settings, into the struct of options that its header names */
    size_t n_rows;
};

/* trib_round_phase returns the phase at this place of the list; NULL: behind the last. */
const struct trib_phase_info *trib_round_phase(size_t index);

#endif
