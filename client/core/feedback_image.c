/* States of error feedback in files and in memory. */
#include "feedback_image.h"

#include "base/buf.h"
#include "base/crc.h"
#include "base/disk.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

enum { HEAD_LEN = 128, RUN_AT = 64, CRC_LEN = 4, VERSION = 1 };
static const char magic[4] = "TRFB";
_Static_assert(TRIB_RUN_ID_LEN < HEAD_LEN - RUN_AT, "a run's name fits the head");

size_t trib_feedback_blocks(const struct trib_feedback_key *key)
{
    return (size_t)((key->n + TRIB_CODEC_BLOCK - 1) / TRIB_CODEC_BLOCK);
}

size_t trib_feedback_block_n(const struct trib_feedback_key *key, size_t block)
{
    uint64_t left = key->n - (uint64_t)block * TRIB_CODEC_BLOCK;
    return left < TRIB_CODEC_BLOCK ? (size_t)left : TRIB_CODEC_BLOCK;
}

uint64_t trib_feedback_floats(const struct trib_feedback_key *key)
{
    return key->n * trib_feedback_vectors(key->kind);
}

/* Of a block's floats before it, and in it. */
static uint64_t floats_before(const struct trib_feedback_key *key, size_t block)
{
    return (uint64_t)block * TRIB_CODEC_BLOCK * trib_feedback_vectors(key->kind);
}

static size_t block_len(const struct trib_feedback_key *key, size_t block)
{
    return trib_feedback_block_n(key, block) * trib_feedback_vectors(key->kind) * sizeof(float);
}

static uint64_t crc_offset(const struct trib_feedback_key *key)
{
    return HEAD_LEN + trib_feedback_floats(key) * sizeof(float);
}

uint64_t trib_feedback_image_len(const struct trib_feedback_key *key)
{
    return crc_offset(key) + CRC_LEN;
}

/* ---- the head ---- */

static void write_head(const struct trib_feedback_image *image, uint8_t head[HEAD_LEN])
{
    memset(head, 0, HEAD_LEN);
    memcpy(head, magic, sizeof magic);
    trib_store_u32(head + 4, VERSION);
    trib_store_u32(head + 8, image->key.kind);
    trib_store_u64(head + 16, image->key.n);
    trib_store_u64(head + 24, image->round);
    memcpy(head + 32, image->key.schema, sizeof image->key.schema);
    memcpy(head + RUN_AT, image->key.run, strlen(image->key.run));
}

static enum trib_status read_head(struct trib_feedback_image *image, const uint8_t head[HEAD_LEN], uint64_t len,
                                  struct trib_error *error)
{
    uint32_t kind = trib_load_u32(head + 8);
    struct trib_feedback_key key = {.n = trib_load_u64(head + 16)};
    if (memcmp(head, magic, sizeof magic) != 0 || trib_load_u32(head + 4) != VERSION) {
        return trib_fail(error, TRIB_CORRUPT, "%s: is no state of error feedback of this version", image->path);
    }
    memcpy(key.schema, head + 32, sizeof key.schema);
    memcpy(key.run, head + RUN_AT, sizeof key.run);
    key.kind = kind == TRIB_FEEDBACK_EF || kind == TRIB_FEEDBACK_EF21 || kind == TRIB_FEEDBACK_DGC
                   ? (enum trib_feedback_kind)kind
                   : TRIB_FEEDBACK_NONE;
    if (key.kind == TRIB_FEEDBACK_NONE || key.n == 0 || key.n > TRIB_FRAME_MAX_ELEMENTS ||
        !memchr(key.run, '\0', sizeof key.run) || len != trib_feedback_image_len(&key)) {
        return trib_fail(error, TRIB_CORRUPT, "%s: is damaged: %llu bytes do not fit its head", image->path,
                         (unsigned long long)len);
    }
    image->key = key;
    image->round = trib_load_u64(head + 24);
    return TRIB_OK;
}

/* ---- a finished state ---- */

enum trib_status trib_feedback_image_find(struct trib_feedback_image *image, struct trib_error *error)
{
    uint8_t head[HEAD_LEN];
    struct trib_disk_info info;
    if (!image->path) {
        return TRIB_OK;
    }
    int fd = trib_disk_open(image->path, O_RDONLY, 0);
    if (fd < 0) {
        return errno == ENOENT ? TRIB_OK : trib_fail_errno(error, errno, "%s: cannot be opened", image->path);
    }
    enum trib_status status = trib_disk_fd_info(fd, &info) == 0
                                  ? trib_file_pread(fd, head, sizeof head, 0, image->path, error)
                                  : trib_fail_errno(error, errno, "%s: cannot be examined", image->path);
    if (status == TRIB_OK) {
        status = read_head(image, head, info.len, error);
    }
    trib_disk_close(fd);
    image->there = status == TRIB_OK;
    return status;
}

enum trib_status trib_feedback_image_open(struct trib_feedback_image *image, struct trib_error *error)
{
    if (image->path) {
        image->fd = trib_disk_open(image->path, O_RDONLY, 0);
        if (image->fd < 0) {
            return trib_fail_errno(error, errno, "%s: cannot be opened", image->path);
        }
    }
    return TRIB_OK;
}

void trib_feedback_image_close(struct trib_feedback_image *image)
{
    if (image->path) {
        trib_disk_close(image->fd);
    }
}

enum trib_status trib_feedback_image_read(const struct trib_feedback_image *image, size_t block, float *scratch,
                                          struct trib_error *error)
{
    uint64_t before = floats_before(&image->key, block);
    size_t len = block_len(&image->key, block);
    if (!image->path) {
        memcpy(scratch, image->memory + before, len);
        return TRIB_OK;
    }
    return trib_file_pread(image->fd, scratch, len, HEAD_LEN + before * sizeof(float), image->path, error);
}

static enum trib_status check_sum(struct trib_feedback_image *image, float *scratch, struct trib_error *error)
{
    uint8_t head[HEAD_LEN], stored[CRC_LEN];
    TRIB_TRY(trib_file_pread(image->fd, head, sizeof head, 0, image->path, error));
    uint32_t crc = trib_crc32c(0, head, sizeof head);
    for (size_t block = 0; block < trib_feedback_blocks(&image->key); block++) {
        TRIB_TRY(trib_feedback_image_read(image, block, scratch, error));
        crc = trib_crc32c(crc, scratch, block_len(&image->key, block));
    }
    TRIB_TRY(trib_file_pread(image->fd, stored, sizeof stored, crc_offset(&image->key), image->path, error));
    return crc == trib_load_u32(stored) ? TRIB_OK
                                        : trib_fail(error, TRIB_CORRUPT,
                                                    "%s: its bytes are not those that were "
                                                    "written: the CRC differs",
                                                    image->path);
}

enum trib_status trib_feedback_image_verify(struct trib_feedback_image *image, float *scratch, struct trib_error *error)
{
    if (!image->path) {
        return TRIB_OK;
    }
    TRIB_TRY(trib_feedback_image_open(image, error));
    enum trib_status status = check_sum(image, scratch, error);
    trib_feedback_image_close(image);
    return status;
}

/* Not synced: after a crash both names may be there still, and it is moved again. */
enum trib_status trib_feedback_image_move(struct trib_feedback_image *from, struct trib_feedback_image *to,
                                          struct trib_error *error)
{
    if (from->path && trib_disk_rename(from->path, to->path) != 0) {
        return trib_fail_errno(error, errno, "%s: cannot be renamed to %s", from->path, to->path);
    }
    const char *path = to->path;
    trib_free(to->memory);
    *to = *from;
    to->path = path;
    from->there = false;
    from->memory = NULL;
    return TRIB_OK;
}

void trib_feedback_image_drop(struct trib_feedback_image *image)
{
    if (image->path) {
        (void)trib_disk_unlink(image->path); /* what cannot be removed is found out by its round */
    }
    trib_free(image->memory);
    image->memory = NULL;
    image->there = false;
}

/* ---- one that is being made ---- */

static enum trib_status make_dir_of(const char *path, struct trib_error *error)
{
    char *dir = trib_path_dir(path);
    enum trib_status status = !dir ? trib_fail_no_memory(error) : trib_dir_make(dir, error);
    trib_free(dir);
    return status;
}

enum trib_status trib_feedback_draft_open(struct trib_feedback_draft *draft, const struct trib_feedback_image *image,
                                          struct trib_error *error)
{
    struct trib_feedback_draft made = {.image = *image, .fd = -1, .open = true};
    uint8_t head[HEAD_LEN];
    if (!image->path) {
        made.image.memory = trib_malloc_aligned((size_t)trib_feedback_floats(&image->key), sizeof(float));
        if (!made.image.memory) {
            return trib_fail_no_memory(error);
        }
        *draft = made;
        return TRIB_OK;
    }
    TRIB_TRY(make_dir_of(image->path, error));
    TRIB_TRY(trib_file_writer_open(&made.writer, image->path, error));
    write_head(image, head);
    enum trib_status status = trib_file_writer_add(&made.writer, head, sizeof head, error);
    if (status != TRIB_OK) {
        trib_file_writer_abort(&made.writer);
        return status;
    }
    *draft = made;
    return TRIB_OK;
}

enum trib_status trib_feedback_draft_write(struct trib_feedback_draft *draft, size_t block, const float *scratch,
                                           struct trib_error *error)
{
    const struct trib_feedback_image *image = &draft->image;
    uint64_t before = floats_before(&image->key, block);
    size_t len = block_len(&image->key, block);
    if (!image->path) {
        memcpy(image->memory + before, scratch, len);
        return TRIB_OK;
    }
    if (block == 0) {
        uint8_t head[HEAD_LEN];
        write_head(image, head);
        draft->crc = trib_crc32c(0, head, sizeof head);
    }
    draft->crc = trib_crc32c(draft->crc, scratch, len);
    return trib_file_pwrite(draft->writer.fd, scratch, len, HEAD_LEN + before * sizeof(float), draft->writer.temporary,
                            error);
}

enum trib_status trib_feedback_draft_read(struct trib_feedback_draft *draft, size_t block, float *scratch,
                                          struct trib_error *error)
{
    struct trib_feedback_image view = draft->image;
    if (view.path) {
        if (draft->fd < 0) { /* the writer's own cannot read */
            draft->fd = trib_disk_open(draft->writer.temporary, O_RDONLY, 0);
        }
        if (draft->fd < 0) {
            return trib_fail_errno(error, errno, "%s: cannot be opened", draft->writer.temporary);
        }
        view.fd = draft->fd;
        view.path = draft->writer.temporary;
    }
    return trib_feedback_image_read(&view, block, scratch, error);
}

enum trib_status trib_feedback_draft_commit(struct trib_feedback_draft *draft, struct trib_feedback_image *image,
                                            struct trib_error *error)
{
    if (draft->image.path) {
        uint8_t crc[CRC_LEN];
        trib_store_u32(crc, draft->crc);
        TRIB_TRY(trib_file_pwrite(draft->writer.fd, crc, sizeof crc, crc_offset(&draft->image.key),
                                  draft->writer.temporary, error));
        TRIB_TRY(trib_file_writer_commit(&draft->writer, error));
    }
    trib_free(image->memory);
    *image = draft->image;
    image->there = true;
    draft->image.memory = NULL;
    trib_feedback_draft_abort(draft); /* what is left of it */
    return TRIB_OK;
}

void trib_feedback_draft_abort(struct trib_feedback_draft *draft)
{
    if (!draft->open) {
        return;
    }
    draft->open = false;
    trib_free(draft->image.memory);
    if (draft->image.path) {
        trib_file_writer_abort(&draft->writer);
        if (draft->fd >= 0) {
            trib_disk_close(draft->fd);
        }
    }
}
