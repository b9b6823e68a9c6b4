/* Any bytes as the file of a finished update: never a crash; and what is taken fits its own hash and can be offered.
 * The checksum of what is about to be read is put right first, so that the bytes behind it are reached. */
#include "base/buf.h"
#include "base/crc.h"
#include "client/task_store.h"
#include "crypto/hash.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CRC_AT = 8, CRC_FROM = 12, FRAME_LEN_AT = 16 };

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* As trib_task_store_save would have written it: everything but the frame is under the CRC. */
static void mend(uint8_t *bytes, size_t size)
{
    uint64_t frame = size < FRAME_LEN_AT + 8 ? UINT64_MAX : trib_load_u64(bytes + FRAME_LEN_AT);
    if (frame < size && size - frame > CRC_FROM) {
        trib_store_u32(bytes + CRC_AT, trib_crc32c(0, bytes + CRC_FROM, size - (size_t)frame - CRC_FROM));
    }
}

static void check(struct trib_blob *file)
{
    struct trib_client_finished finished;
    struct trib_error error;
    uint8_t digest[32];
    const struct trib_frame_source source = trib_frame_source_memory(file);
    if (trib_task_store_parse(&source, &finished, &error) != TRIB_OK) {
        return;
    }
    const struct trib_client_update *update = &finished.update;
    require(finished.task.round > 0 && memchr(finished.task.run, '\0', sizeof finished.task.run));
    require(memchr(update->codec, '\0', sizeof update->codec));
    require(memchr(update->codec_reason, '\0', sizeof update->codec_reason));
    require(trib_task_store_len(update) == source.len);
    require(trib_sha256(trib_blob_data(update->frame), trib_blob_len(update->frame), digest) == TRIB_OK);
    require(memcmp(digest, update->sha256, sizeof digest) == 0);
    trib_client_update_clear(&finished.update);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trib_blob *file = trib_blob_copy(data, size);
    require(file);
    check(file);
    mend(trib_blob_fill(file), size);
    check(file);
    trib_blob_unref(file);
    return 0;
}
