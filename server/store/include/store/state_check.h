/* The state check tells whether everything that a server remembers is still there, and unchanged. For
 * `tributary-server --check-state`: it reads all of DIR (state.db, blobs/), changes nothing, and needs the server
 * stopped. One thread. */
#ifndef TRIB_STORE_STATE_CHECK_H
#define TRIB_STORE_STATE_CHECK_H

#include "base/status.h"

#include <stdint.h>

struct trib_state_summary {
    uint64_t runs, nodes, rounds, versions; /* records */
    uint64_t blobs, blob_bytes;             /* files */
    uint64_t unreferenced;                  /* blobs that no record needs; the server sweeps them away */
    uint64_t leftovers;                     /* files that a crash left unfinished; they go at the next start */
    uint64_t damages;
};

/* One finding: `text` names the file, the table, and what is wrong (is_damage) or worth knowing. */
typedef void trib_state_report(void *context, bool is_damage, const char *text);

/* Members' states are below `member_states`. *summary is written in every case, as far as the check went.
 * TRIB_CORRUPT when there is any damage, each reported; TRIB_NOT_FOUND: there is no state in DIR; TRIB_UNAVAILABLE:
 * a server is running on it; TRIB_UNSUPPORTED: another version of the program wrote it. */
TRIB_MUST_CHECK enum trib_status trib_state_check(const char *dir, uint64_t member_states, trib_state_report *report,
                                                  void *context, struct trib_state_summary *summary,
                                                  struct trib_error *error);

#endif
