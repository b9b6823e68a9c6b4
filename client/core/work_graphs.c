/* The graphs that the server has sent on this connection: of several, the latest. */
#include "base/mem.h"
#include "crypto/hash.h"
#include "work_private.h"

#include <string.h>

static struct trib_known_graph *find_graph(struct trib_work *work, const uint8_t sha256[32])
{
    for (size_t i = 0; i < TRIB_KNOWN_GRAPHS; i++) {
        struct trib_known_graph *known = &work->graphs[i];
        if (known->bytes && memcmp(known->sha256, sha256, sizeof known->sha256) == 0) {
            return known;
        }
    }
    return NULL;
}

/* Keep a graph in a free place or in that of the one whose use lies furthest back. */
static enum trib_status keep_graph(struct trib_work *work, const uint8_t sha256[32], const ProtobufCBinaryData *sent,
                                   struct trib_known_graph **kept, struct trib_error *error)
{
    struct trib_known_graph *place = &work->graphs[0];
    for (size_t i = 1; i < TRIB_KNOWN_GRAPHS && place->bytes; i++) {
        if (!work->graphs[i].bytes || work->graphs[i].used < place->used) {
            place = &work->graphs[i];
        }
    }
    struct trib_blob *bytes = trib_blob_copy(sent->data, sent->len);
    if (!bytes) {
        return trib_fail_no_memory(error);
    }
    trib_blob_unref(place->bytes);
    place->bytes = bytes;
    memcpy(place->sha256, sha256, sizeof place->sha256);
    *kept = place;
    return TRIB_OK;
}

void trib_work_forget_graphs(struct trib_work *work)
{
    for (size_t i = 0; i < TRIB_KNOWN_GRAPHS; i++) {
        trib_blob_unref(work->graphs[i].bytes);
        work->graphs[i] = (struct trib_known_graph){0};
    }
}

enum trib_status trib_work_take_graph(struct trib_work *work, const ProtobufCBinaryData *sent,
                                      struct trib_client_task *task, struct trib_error *error)
{
    struct trib_known_graph *known = find_graph(work, task->graph_sha256);
    if (!known && sent->len == 0) {
        return trib_fail(error, TRIB_NOT_FOUND, "the task names a plan that was not sent on this connection");
    }
    if (sent->len > 0) {
        uint8_t digest[TRIB_SHA256_LEN];
        if (trib_sha256(sent->data, sent->len, digest) != TRIB_OK) {
            return trib_fail_no_memory(error);
        }
        if (memcmp(digest, task->graph_sha256, sizeof digest) != 0) {
            return trib_fail(error, TRIB_CORRUPT, "the plan's SHA-256 is not the one that the task names");
        }
    }
    if (!known) {
        TRIB_TRY(keep_graph(work, task->graph_sha256, sent, &known, error));
    }
    known->used = ++work->graph_uses;
    task->graph = trib_blob_ref(known->bytes);
    return TRIB_OK;
}
