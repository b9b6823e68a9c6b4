/* The release of a run is what clients may download: its present version, the deltas that lead there from versions
 * before, and models of a moment ago. One thread publishes; any thread may look blobs up by their hash. */
#ifndef TRIB_RELEASE_RELEASE_H
#define TRIB_RELEASE_RELEASE_H

#include "release/version.h"

struct trib_release; /* opaque; has a lock of its own, never held while another is taken */

struct trib_release_options {
    size_t history;  /* the most deltas that are kept, at most TRIB_ROUTE_DELTAS */
    bool keeps_past; /* members may outlive their round: models of a moment ago can still be downloaded */
    bool remade;     /* version 0 follows from the seed, so that clients can make it themselves */
};

/* A route names the blobs by which a client gets to the present version without the whole model. */
enum { TRIB_ROUTE_DELTAS = 128 };
struct trib_route {
    size_t n;
    struct trib_route_delta {
        uint64_t from_version; /* added to it, the delta gives the next version */
        uint64_t len;
        uint8_t sha256[TRIB_SHA256_LEN];
    } deltas[TRIB_ROUTE_DELTAS]; /* in order of version; the last one leads to the present version */
    bool from_seed;              /* the first begins at version 0, which a client can make itself; also with n = 0 */
};

TRIB_MUST_CHECK enum trib_status trib_release_new(const struct trib_release_options *options,
                                                  struct trib_release **release, struct trib_error *error);
void trib_release_free(struct trib_release *release); /* NULL is allowed */

/* ---- the publishing thread ---- */
/* The version becomes the present one. Takes its references over. */
void trib_release_publish(struct trib_release *release, struct trib_version *version);
/* The present version; valid until the next publication. number 0 without blobs: nothing is published yet. */
const struct trib_version *trib_release_present(const struct trib_release *release);
/* Deltas from `held`, if the client holds a version, else all that there are. */
void trib_release_route(const struct trib_release *release, bool holds, uint64_t held, struct trib_route *route);
/* Of a run that goes on, before it is read by others, oldest first. `version` is put in the present one's place, with
 * nothing kept of that; what led to it is added by the two calls below. */
void trib_release_recall(struct trib_release *release, struct trib_version *version);
void trib_release_recall_past(struct trib_release *release, struct trib_blob *raw,
                              const uint8_t sha256[TRIB_SHA256_LEN]);
/* blob NULL: that delta is lost, and those before it are of no use. Takes the reference over. */
void trib_release_recall_delta(struct trib_release *release, uint64_t from_version, struct trib_blob *blob,
                               const uint8_t sha256[TRIB_SHA256_LEN]);

/* ---- any thread ---- */
/* A published blob by its hash, with a reference for the caller; NULL when there is none. */
struct trib_blob *trib_release_blob(struct trib_release *release, const uint8_t sha256[TRIB_SHA256_LEN]);

#endif
