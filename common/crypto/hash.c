/* SHA-256 by OpenSSL's EVP interface, which picks the processor's SHA instructions. A hash keeps no state beyond its
 * handle: one thread at a time for each. */
#include "crypto/hash.h"

#include "base/mem.h"

#include <openssl/evp.h>

struct trib_sha256 {
    EVP_MD_CTX *context;
    bool running; /* false until the first bytes after a start, so that a start that fails is met by the next add */
};

struct trib_sha256 *trib_sha256_new(void)
{
    struct trib_sha256 *hash = trib_calloc(1, sizeof *hash);
    if (!hash) {
        return NULL;
    }
    hash->context = EVP_MD_CTX_new();
    if (!hash->context) {
        trib_free(hash);
        return NULL;
    }
    return hash;
}

static enum trib_status sha256_start(struct trib_sha256 *hash)
{
    if (!hash->running) {
        if (EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) != 1) {
            return TRIB_INTERNAL;
        }
        hash->running = true;
    }
    return TRIB_OK;
}

enum trib_status trib_sha256_add(struct trib_sha256 *hash, const void *bytes, size_t len)
{
    TRIB_TRY(sha256_start(hash));
    if (len == 0) {
        return TRIB_OK;
    }
    return EVP_DigestUpdate(hash->context, bytes, len) == 1 ? TRIB_OK : TRIB_INTERNAL;
}

enum trib_status trib_sha256_finish(struct trib_sha256 *hash, uint8_t digest[TRIB_SHA256_LEN])
{
    TRIB_TRY(sha256_start(hash));
    hash->running = false;
    return EVP_DigestFinal_ex(hash->context, digest, NULL) == 1 ? TRIB_OK : TRIB_INTERNAL;
}

void trib_sha256_free(struct trib_sha256 *hash)
{
    if (hash) {
        EVP_MD_CTX_free(hash->context);
        trib_free(hash);
    }
}

enum trib_status trib_sha256(const void *bytes, size_t len, uint8_t digest[TRIB_SHA256_LEN])
{
    struct trib_sha256 *hash = trib_sha256_new();
    if (!hash) {
        return TRIB_NO_MEMORY;
    }
    enum trib_status status = trib_sha256_add(hash, bytes, len);
    if (status == TRIB_OK) {
        status = trib_sha256_finish(hash, digest);
    }
    trib_sha256_free(hash);
    return status;
}
