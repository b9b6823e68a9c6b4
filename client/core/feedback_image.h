/* A feedback image is one state of error feedback as it is kept: in a file, or in memory where there is no place for
 * files. Images are read and written block by block, so that only a block of a file is ever in memory. One thread.
 *
 * The file, little-endian:
 *
 *   0    "TRFB", u32 version 1
 *   8    u32 kind (enum trib_feedback_kind), u32 0
 *   16   u64 n, u64 round
 *   32   schema hash
 *   64   run, padded with zeros to 64 bytes
 *   128  for each TRIB_CODEC_BLOCK elements: that block of the first vector, of the second if there is one; floats
 *   end  u32 CRC-32C of everything before it */
#ifndef TRIB_FEEDBACK_IMAGE_H
#define TRIB_FEEDBACK_IMAGE_H

#include "base/file.h"
#include "codec/feedback.h"
#include "codec/frame.h"
#include "wire/chunk.h"

struct trib_feedback_key {
    enum trib_feedback_kind kind;
    char run[TRIB_RUN_ID_LEN + 1];
    uint8_t schema[TRIB_FRAME_HASH_LEN];
    uint64_t n; /* elements of each vector */
};

/* TRIB_FEEDBACK_SCRATCH is the most floats of a block while it is worked on: [vectors][elements of the block]. */
enum { TRIB_FEEDBACK_SCRATCH = TRIB_FEEDBACK_VECTORS * TRIB_CODEC_BLOCK };
size_t trib_feedback_blocks(const struct trib_feedback_key *key);
size_t trib_feedback_block_n(const struct trib_feedback_key *key, size_t block);
uint64_t trib_feedback_floats(const struct trib_feedback_key *key); /* of all vectors together */

uint64_t trib_feedback_image_len(const struct trib_feedback_key *key); /* of the file */

/* ---- a finished state ---- */

struct trib_feedback_image {
    const char *path; /* NULL = in memory; borrowed */
    bool there;
    struct trib_feedback_key key;
    uint64_t round; /* in which it was made */
    float *memory;
    int fd; /* while it is open */
};

/* trib_feedback_image_find looks at `path`. Nothing: TRIB_OK, and not `there`. TRIB_CORRUPT: a damaged file, or none of
 * ours. */
TRIB_MUST_CHECK enum trib_status trib_feedback_image_find(struct trib_feedback_image *image, struct trib_error *error);
/* trib_feedback_image_verify reads the whole once and checks the sum (TRIB_CORRUPT). */
TRIB_MUST_CHECK enum trib_status trib_feedback_image_verify(struct trib_feedback_image *image, float *scratch,
                                                            struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_feedback_image_open(struct trib_feedback_image *image, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_feedback_image_read(const struct trib_feedback_image *image, size_t block,
                                                          float *scratch, struct trib_error *error);
void trib_feedback_image_close(struct trib_feedback_image *image);
/* trib_feedback_image_move puts an image in the place of `to`, whatever that was. */
TRIB_MUST_CHECK enum trib_status trib_feedback_image_move(struct trib_feedback_image *from,
                                                          struct trib_feedback_image *to, struct trib_error *error);
void trib_feedback_image_drop(struct trib_feedback_image *image); /* with its file */

/* ---- one that is being made ---- */

struct trib_feedback_draft {
    bool open;
    struct trib_feedback_image image; /* what it will be */
    struct trib_file_writer writer;
    int fd; /* to read back; -1 = none yet */
    uint32_t crc;
};

/* trib_feedback_draft_open begins a state with image's path, key and round. */
TRIB_MUST_CHECK enum trib_status trib_feedback_draft_open(struct trib_feedback_draft *draft,
                                                          const struct trib_feedback_image *image,
                                                          struct trib_error *error);
/* trib_feedback_draft_write takes all blocks, in order; once more from the first as often as the caller likes. */
TRIB_MUST_CHECK enum trib_status trib_feedback_draft_write(struct trib_feedback_draft *draft, size_t block,
                                                           const float *scratch, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_feedback_draft_read(struct trib_feedback_draft *draft, size_t block,
                                                          float *scratch, struct trib_error *error);
/* trib_feedback_draft_commit makes the draft durable, under its name, in the place of *image. */
TRIB_MUST_CHECK enum trib_status trib_feedback_draft_commit(struct trib_feedback_draft *draft,
                                                            struct trib_feedback_image *image,
                                                            struct trib_error *error);
void trib_feedback_draft_abort(struct trib_feedback_draft *draft); /* also when it is not open */

#endif
