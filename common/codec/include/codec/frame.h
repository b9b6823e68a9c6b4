/* A frame is a coded vector with everything needed to check it before it is used. Any thread. Layout, little-endian:
 *
 *   0   "TRF1"                       magic and version
 *   4   u8 kind                      1 = update (delta), 2 = whole model
 *   5   u8 n_stages, u8 stage ids[8] the chain's stages in order of encoding, zeros after the last
 *   14  u16 flags                    0
 *   16  u64 n_elements               1 .. TRIB_FRAME_MAX_ELEMENTS
 *   24  u64 seed
 *   32  32 bytes schema hash
 *   64  u32 n_blocks, u32 0          n_elements / TRIB_CODEC_BLOCK, rounded up
 *   72  u32 block lengths [n_blocks] in bytes
 *       padding with zeros to a multiple of 64
 *       blocks, one after the other
 *   end u32 CRC-32C of everything before it
 *
 * An f32 frame's payload is the vector itself at a 64-byte aligned offset, so it can be used in place. */
#ifndef TRIB_CODEC_FRAME_H
#define TRIB_CODEC_FRAME_H

#include "base/blob.h"
#include "codec/chain.h"

enum trib_frame_kind { TRIB_FRAME_UPDATE = 1, TRIB_FRAME_MODEL = 2 };
enum { TRIB_FRAME_HASH_LEN = 32, TRIB_FRAME_FIXED_LEN = 72, TRIB_FRAME_CRC_LEN = 4, TRIB_FRAME_ALIGNMENT = 64 };
#define TRIB_FRAME_MAX_ELEMENTS (UINT64_C(1) << 40)

struct trib_frame_header {
    enum trib_frame_kind kind;
    struct trib_chain chain; /* decodes; its arguments are the encoder's secret */
    uint64_t n_elements, seed;
    uint8_t schema[TRIB_FRAME_HASH_LEN];
    uint32_t n_blocks;
    uint64_t payload_offset; /* of the first block */
    uint64_t frame_len;      /* whole frame with its CRC */
};

/* A job is what an encoder is given. */
struct trib_frame_job {
    enum trib_frame_kind kind;
    const struct trib_chain *chain;
    uint64_t seed;
    const uint8_t *schema; /* [TRIB_FRAME_HASH_LEN] */
    const float *vector;   /* [n] */
    size_t n;
    struct trib_thread_pool *pool; /* NULL: this thread alone */
    /* decoded is called for each block after it is coded, with the values that a receiver will decode; the block's part
     * of `vector` is not read any more and may be overwritten. Several threads, disjoint ranges. NULL: nobody wants to
     * know. */
    void (*decoded)(void *context, size_t first, const float *values, size_t n);
    void *context;
};
/* trib_frame_encode encodes a vector; the caller owns the blob. The same bytes for any pool. TRIB_INVALID when n is 0
 * or too large, TRIB_NOT_FINITE with the element when the chain cannot carry it, TRIB_NO_MEMORY. */
TRIB_MUST_CHECK enum trib_status trib_frame_encode(const struct trib_frame_job *job, struct trib_blob **frame,
                                                   struct trib_error *error);
/* trib_frame_raw_len returns the length of an encoded f32 frame of n elements (0 when n is 0 or too large);
 * trib_frame_seal_raw is an encoder that only writes header, table and CRC around a vector which the caller has put at
 * payload_offset already: a model is published without a second copy. `frame` is 4-byte aligned, frame_len is what
 * trib_frame_raw_len gave. The same bytes as trib_frame_encode with f32 and seed 0. TRIB_NOT_FINITE names the element.
 */
size_t trib_frame_raw_len(size_t n, size_t *payload_offset);
TRIB_MUST_CHECK enum trib_status trib_frame_seal_raw(enum trib_frame_kind kind,
                                                     const uint8_t schema[TRIB_FRAME_HASH_LEN], size_t n,
                                                     uint8_t *frame, size_t frame_len, struct trib_error *error);

/* An expectation is what a receiver wants; anything else is refused with the reason. */
struct trib_frame_expect {
    enum trib_frame_kind kind;
    const uint8_t *schema; /* 32 bytes, or NULL = any */
    uint64_t n_elements;   /* 0 = any */
};

/* Frames are read from a source by offset: memory or a spooled file. `read` is never asked for bytes beyond `len`. */
struct trib_frame_source {
    enum trib_status (*read)(void *context, uint64_t offset, void *to, size_t len, struct trib_error *error);
    void *context;
    uint64_t len;
    const uint8_t *memory; /* all `len` bytes where they are in memory: then nothing is copied; else NULL */
};
/* trib_frame_source_memory borrows the blob. */
struct trib_frame_source trib_frame_source_memory(const struct trib_blob *blob);

/* trib_frame_walk walks a frame block by block, in memory for one block (coded and decoded) a thread. `visit` gets the
 * decoded elements of each block: in order on this thread without a pool, else from several threads at once, blocks in
 * any order. A status other than TRIB_OK ends the walk with it (the one of the first block that failed). NULL only
 * verifies. Checks the header, every length and the schema before the first block is visited and that all values of a
 * block are finite before it is, and the CRC at the end. So: walk once to verify, walk again to fold.
 *
 * TRIB_CORRUPT: not a frame, cut, or changed. TRIB_MISMATCH: a sound frame, but not what is expected. TRIB_NOT_FINITE
 * with the block. TRIB_UNSUPPORTED: a version, flag or codec (by number) that this build does not know. TRIB_LIMIT:
 * more than TRIB_FRAME_MAX_ELEMENTS. Whatever the source's read returns. `expect` may be NULL (anything), `header` too.
 */
typedef enum trib_status (*trib_frame_visit)(void *context, size_t first, const float *values, size_t n,
                                             struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_frame_walk(const struct trib_frame_source *source,
                                                 const struct trib_frame_expect *expect, struct trib_thread_pool *pool,
                                                 trib_frame_visit visit, void *context,
                                                 struct trib_frame_header *header, struct trib_error *error);
/* trib_frame_read_block decodes the first n elements of one block (block b holds elements from b * TRIB_CODEC_BLOCK on)
 * into values[n], for a reader that needs no more: in memory for that block. The frame was walked before; header, table
 * and the block's values are checked again, the CRC is not. TRIB_INVALID: the frame has no such block, or it is shorter
 * than n. Otherwise fails as trib_frame_walk does; then `values` may hold anything. */
TRIB_MUST_CHECK enum trib_status trib_frame_read_block(const struct trib_frame_source *source,
                                                       const struct trib_frame_expect *expect, uint32_t block, size_t n,
                                                       float *values, struct trib_error *error);
/* trib_frame_parse_header checks header and table alone, against the source's length as well; no block is read. */
TRIB_MUST_CHECK enum trib_status trib_frame_parse_header(const struct trib_frame_source *source,
                                                         struct trib_frame_header *header, struct trib_error *error);
/* trib_frame_decode decodes a whole frame into a vector of n elements (TRIB_MISMATCH when it has another number); after
 * a failure the vector may hold anything. */
TRIB_MUST_CHECK enum trib_status trib_frame_decode(const struct trib_frame_source *source,
                                                   const struct trib_frame_expect *expect, float *vector, size_t n,
                                                   struct trib_error *error);

#endif
