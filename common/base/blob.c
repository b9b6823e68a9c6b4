/* Reference-counted bytes. The count is atomic; the content is written only before a blob is shared. */
#include "base/blob.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <string.h>

struct trib_blob {
    atomic_size_t references;
    size_t len;
    uint8_t *data;
    bool adopted; /* data is a block of its own, not the tail of this one */
};

enum { HEADER_LEN = 64 };
_Static_assert(sizeof(struct trib_blob) <= HEADER_LEN, "the header must leave the content aligned");

struct trib_blob *trib_blob_new(size_t len)
{
    size_t total = 0;
    if (!trib_size_add(len, HEADER_LEN, &total)) {
        return NULL;
    }
    struct trib_blob *blob = trib_malloc_aligned(total, 1);
    if (blob) {
        atomic_init(&blob->references, 1);
        blob->len = len;
        blob->data = (uint8_t *)blob + HEADER_LEN;
        blob->adopted = false;
    }
    return blob;
}

struct trib_blob *trib_blob_copy(const void *bytes, size_t len)
{
    struct trib_blob *blob = trib_blob_new(len);
    if (blob && len > 0) {
        memcpy(blob->data, bytes, len);
    }
    return blob;
}

struct trib_blob *trib_blob_adopt(void *bytes, size_t len)
{
    struct trib_blob *blob = trib_malloc(sizeof *blob);
    if (blob) {
        atomic_init(&blob->references, 1);
        blob->len = len;
        blob->data = bytes;
        blob->adopted = true;
    }
    return blob;
}

uint8_t *trib_blob_fill(struct trib_blob *blob)
{
    return blob->data;
}

const uint8_t *trib_blob_data(const struct trib_blob *blob)
{
    return blob->data;
}

size_t trib_blob_len(const struct trib_blob *blob)
{
    return blob->len;
}

struct trib_blob *trib_blob_ref(struct trib_blob *blob)
{
    if (blob) {
        atomic_fetch_add_explicit(&blob->references, 1, memory_order_relaxed);
    }
    return blob;
}

void trib_blob_unref(struct trib_blob *blob)
{
    /* Release what this thread did with the content; acquire what all others did before it is freed. */
    if (blob && atomic_fetch_sub_explicit(&blob->references, 1, memory_order_acq_rel) == 1) {
        if (blob->adopted) {
            trib_free(blob->data);
        }
        trib_free(blob);
    }
}
