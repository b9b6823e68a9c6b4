/* Any bytes as the file of the model that a client holds: never a crash; and what is held afterwards has the hash that
 * it states. The hash is put right first, so that what is behind it is reached. */
#include "../fuzz_disk.h"
#include "base/buf.h"
#include "client/model_cache.h"
#include "crypto/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOTE_LEN = 80, NOTE_SHA256 = 16 };
static const char dir[] = "/client", path[] = "/client/model.frame";

static void check(const uint8_t *bytes, size_t len)
{
    struct trib_model_cache cache = {0};
    struct trib_held_model held;
    struct trib_error error = {.message = ""};
    uint8_t digest[32];
    fuzz_disk_write(path, bytes, len);
    trib_model_cache_peek(dir, &held);
    require(memchr(held.run, '\0', sizeof held.run));
    require(trib_model_cache_open(&cache, dir, &error) == TRIB_OK);
    if (cache.spool) {
        require(len > NOTE_LEN && strcmp(cache.held.run, held.run) == 0 && cache.held.version == held.version);
        require(trib_sha256(bytes, len - NOTE_LEN, digest) == TRIB_OK);
        require(memcmp(digest, cache.held.sha256, sizeof digest) == 0);
    } else {
        require(!trib_file_exists(path));
    }
    trib_model_cache_close(&cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_disk_begin();
    require(trib_disk_mkdir(dir, 0700) == 0);
    check(data, size);
    if (size > NOTE_LEN) {
        uint8_t *mended = malloc(size);
        require(mended);
        memcpy(mended, data, size);
        uint8_t *note = mended + size - NOTE_LEN;
        memcpy(note, "THM1", 4);
        require(trib_sha256(mended, size - NOTE_LEN, note + NOTE_SHA256) == TRIB_OK);
        check(mended, size);
        free(mended);
    }
    fuzz_disk_end();
    return 0;
}
