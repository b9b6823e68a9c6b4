/* The models before. */
#include "past_models.h"

#include <string.h>

static void drop_oldest(struct trib_past_models *past)
{
    past->bytes -= trib_blob_len(past->models[0].raw);
    trib_blob_unref(past->models[0].raw);
    past->n--;
    memmove(past->models, past->models + 1, past->n * sizeof past->models[0]);
}

void trib_past_models_push(struct trib_past_models *past, struct trib_blob *raw, const uint8_t sha256[TRIB_SHA256_LEN])
{
    while (past->n > 0 && (past->n == TRIB_PAST_MODELS || past->bytes + trib_blob_len(raw) > TRIB_PAST_BYTES)) {
        drop_oldest(past);
    }
    past->models[past->n].raw = raw;
    memcpy(past->models[past->n].sha256, sha256, TRIB_SHA256_LEN);
    past->n++;
    past->bytes += trib_blob_len(raw);
}

struct trib_blob *trib_past_models_find(const struct trib_past_models *past, const uint8_t sha256[TRIB_SHA256_LEN])
{
    for (size_t i = 0; i < past->n; i++) {
        if (memcmp(past->models[i].sha256, sha256, TRIB_SHA256_LEN) == 0) {
            return trib_blob_ref(past->models[i].raw);
        }
    }
    return NULL;
}

void trib_past_models_clear(struct trib_past_models *past)
{
    while (past->n > 0) {
        drop_oldest(past);
    }
}
