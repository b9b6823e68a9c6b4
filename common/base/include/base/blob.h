/* Immutable, reference-counted bytes: a published model, an encoded frame. Shared between threads by reference;
 * the content never changes after publication. */
#ifndef TRIB_BASE_BLOB_H
#define TRIB_BASE_BLOB_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct trib_blob; /* opaque */

/* A blob of `len` bytes, 64-byte aligned, content undefined; fill it through trib_blob_fill before it is shared.
 * The caller owns one reference. NULL when memory is short. */
struct trib_blob *trib_blob_new(size_t len);
struct trib_blob *trib_blob_copy(const void *bytes, size_t len);
/* Take over `bytes`, which trib_free must be able to free. On NULL the caller still owns them. */
struct trib_blob *trib_blob_adopt(void *bytes, size_t len);
uint8_t *trib_blob_fill(struct trib_blob *blob);
const uint8_t *trib_blob_data(const struct trib_blob *blob);
size_t trib_blob_len(const struct trib_blob *blob);
struct trib_blob *trib_blob_ref(struct trib_blob *blob); /* returns blob; NULL passes through */
void trib_blob_unref(struct trib_blob *blob);            /* NULL is allowed */

#endif
