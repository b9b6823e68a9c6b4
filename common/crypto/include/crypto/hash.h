/* SHA-256 is what blobs and schemas are named by; the arithmetic is OpenSSL's. Any thread. */
#ifndef TRIB_CRYPTO_HASH_H
#define TRIB_CRYPTO_HASH_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { TRIB_SHA256_LEN = 32 };

struct trib_sha256; /* a running hash */

struct trib_sha256 *trib_sha256_new(void); /* NULL when memory is short */
TRIB_MUST_CHECK enum trib_status trib_sha256_add(struct trib_sha256 *hash, const void *bytes, size_t len);
/* trib_sha256_finish gives the digest of what was added; the hash then starts anew. */
TRIB_MUST_CHECK enum trib_status trib_sha256_finish(struct trib_sha256 *hash, uint8_t digest[TRIB_SHA256_LEN]);
void trib_sha256_free(struct trib_sha256 *hash);
TRIB_MUST_CHECK enum trib_status trib_sha256(const void *bytes, size_t len, uint8_t digest[TRIB_SHA256_LEN]);

#endif
