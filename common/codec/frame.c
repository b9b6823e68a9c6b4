/* Frames are made here: blocks are coded, in parallel where there is a pool, and put behind their head. */
#include "frame_head.h"

#include "finite.h"
#include "stage_table.h"

#include "base/buf.h"
#include "base/crc.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool can_hold(uint64_t n)
{
    return n > 0 && n <= TRIB_FRAME_MAX_ELEMENTS && n <= SIZE_MAX / (2 * sizeof(float));
}

static struct trib_frame_header make_header(enum trib_frame_kind kind, const struct trib_chain *chain, uint64_t seed,
                                            const uint8_t schema[TRIB_FRAME_HASH_LEN], size_t n)
{
    struct trib_frame_header header = {.kind = kind, .chain = *chain, .n_elements = n, .seed = seed};
    memcpy(header.schema, schema, TRIB_FRAME_HASH_LEN);
    header.n_blocks = trib_frame_n_blocks(n);
    header.payload_offset = trib_frame_payload_offset(header.n_blocks);
    return header;
}

static void write_block_len(uint8_t *frame, uint32_t block, size_t len)
{
    trib_store_u32(frame + TRIB_FRAME_FIXED_LEN + (size_t)block * TRIB_FRAME_TABLE_ENTRY, (uint32_t)len);
}

static enum trib_status refuse_n(size_t n, struct trib_error *error)
{
    return trib_fail(error, TRIB_INVALID, "frame: %zu elements; between 1 and %" PRIu64 " are possible", n,
                     TRIB_FRAME_MAX_ELEMENTS);
}

/* Which element was it? The first nan or infinity, else the largest magnitude, which was beyond the codec's range. */
static enum trib_status refuse_values(const char *codec, const float *values, size_t first, size_t n,
                                      struct trib_error *error)
{
    size_t worst = 0;
    for (size_t i = 0; i < n && isfinite(values[worst]); i++) {
        if (!(fabsf(values[i]) <= fabsf(values[worst]))) {
            worst = i;
        }
    }
    return trib_fail(error, TRIB_NOT_FINITE, "frame: element %zu is %g, which codec %s cannot carry", first + worst,
                     (double)values[worst], codec);
}

/* ---- encoding ---- */

/* What one block needs while it is coded; as many as there are threads. */
struct lane {
    struct trib_chain_work *work;
    uint8_t *coded;   /* [trib_chain_bound(TRIB_CODEC_BLOCK)]; NULL for plain chains, which write where it belongs */
    float *decoded;   /* [TRIB_CODEC_BLOCK]; NULL when nobody wants to know */
    size_t coded_len; /* of the block that was coded last */
    enum trib_status status;
};

struct encoder {
    const struct trib_frame_job *job;
    const struct trib_stage *plain; /* NULL: not a plain chain */
    struct trib_frame_header header;
    struct trib_survey *survey;
    struct lane *lanes; /* [n_lanes] */
    size_t n_lanes;
    uint32_t first_block; /* of the lanes' present blocks */
    struct trib_buf frame;
};

static void clear_encoder(struct encoder *encoder)
{
    for (size_t i = 0; encoder->lanes && i < encoder->n_lanes; i++) {
        trib_chain_work_free(encoder->lanes[i].work);
        trib_free(encoder->lanes[i].coded);
        trib_free(encoder->lanes[i].decoded);
    }
    trib_free(encoder->lanes);
    trib_survey_free(encoder->survey);
    trib_buf_clear(&encoder->frame);
}

static bool make_lanes(struct encoder *encoder)
{
    const struct trib_frame_job *job = encoder->job;
    encoder->n_lanes = !job->pool ? 1 : (size_t)trib_thread_pool_threads(job->pool);
    encoder->lanes = trib_calloc(encoder->n_lanes, sizeof *encoder->lanes);
    bool made = encoder->lanes;
    for (size_t i = 0; made && i < encoder->n_lanes; i++) {
        struct lane *lane = &encoder->lanes[i];
        if (!encoder->plain) {
            lane->work = trib_chain_work_new();
            lane->coded = trib_malloc(trib_chain_bound(TRIB_CODEC_BLOCK));
            made = lane->work && lane->coded;
        }
        if (job->decoded) {
            lane->decoded = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof *lane->decoded);
            made = made && lane->decoded;
        }
    }
    return made;
}

static void encode_lane(void *context, size_t part, int worker)
{
    (void)worker;
    struct encoder *encoder = context;
    const struct trib_frame_job *job = encoder->job;
    struct lane *lane = &encoder->lanes[part];
    uint32_t block = encoder->first_block + (uint32_t)part;
    size_t first = (size_t)block * TRIB_CODEC_BLOCK, n = trib_frame_block_n(job->n, block);
    uint8_t *to = lane->coded;
    size_t capacity = trib_chain_bound(n);
    if (encoder->plain) {
        to = encoder->frame.data + encoder->header.payload_offset + first * encoder->plain->width;
        capacity = n * encoder->plain->width;
    }
    lane->status = trib_chain_encode_block(job->chain, encoder->survey, lane->work, job->seed, block,
                                           job->vector + first, n, to, capacity, &lane->coded_len);
    if (lane->status == TRIB_OK && job->decoded) {
        lane->status =
            trib_chain_decode_block(job->chain, lane->work, job->seed, block, to, lane->coded_len, lane->decoded, n);
        if (lane->status == TRIB_OK) {
            job->decoded(job->context, first, lane->decoded, n);
        }
    }
}

/* Put the lanes' blocks behind each other. */
static enum trib_status gather(struct encoder *encoder, size_t parts, struct trib_error *error)
{
    for (size_t i = 0; i < parts; i++) {
        const struct lane *lane = &encoder->lanes[i];
        uint32_t block = encoder->first_block + (uint32_t)i;
        size_t first = (size_t)block * TRIB_CODEC_BLOCK;
        if (lane->status == TRIB_NOT_FINITE) {
            return refuse_values(encoder->job->chain->text, encoder->job->vector + first, first,
                                 trib_frame_block_n(encoder->job->n, block), error);
        }
        if (lane->status != TRIB_OK) {
            return trib_fail(error, lane->status, "frame: codec %s failed at block %" PRIu32 ": %s",
                             encoder->job->chain->text, block, trib_status_text(lane->status));
        }
        if (!encoder->plain && trib_buf_add(&encoder->frame, lane->coded, lane->coded_len) != TRIB_OK) {
            return trib_fail_no_memory(error);
        }
        write_block_len(encoder->frame.data, block, lane->coded_len);
    }
    return TRIB_OK;
}

/* Room for head and, where its length is known, payload. */
static enum trib_status begin_frame(struct encoder *encoder, struct trib_error *error)
{
    size_t payload = 0, len = 0;
    if (encoder->plain && !trib_size_mul(encoder->job->n, encoder->plain->width, &payload)) {
        return trib_fail_no_memory(error);
    }
    if (!trib_size_add((size_t)encoder->header.payload_offset, payload, &len) ||
        trib_buf_reserve(&encoder->frame, len + TRIB_FRAME_CRC_LEN) != TRIB_OK) {
        return trib_fail_no_memory(error);
    }
    trib_frame_head_write(&encoder->header, encoder->frame.data);
    encoder->frame.len = len;
    return TRIB_OK;
}

static enum trib_status encode_blocks(struct encoder *encoder, struct trib_error *error)
{
    const struct trib_frame_job *job = encoder->job;
    TRIB_TRY(begin_frame(encoder, error));
    while (encoder->first_block < encoder->header.n_blocks) {
        size_t left = encoder->header.n_blocks - encoder->first_block;
        size_t parts = left < encoder->n_lanes ? left : encoder->n_lanes;
        trib_thread_pool_run(job->pool, parts, encode_lane, encoder);
        TRIB_TRY(gather(encoder, parts, error));
        encoder->first_block += (uint32_t)parts;
    }
    uint8_t crc[TRIB_FRAME_CRC_LEN];
    trib_store_u32(crc, trib_crc32c(0, encoder->frame.data, encoder->frame.len));
    return trib_buf_add(&encoder->frame, crc, sizeof crc) == TRIB_OK ? TRIB_OK : trib_fail_no_memory(error);
}

/* The buffer becomes the blob; the room that it grew by is given back. */
static enum trib_status make_blob(struct trib_buf *frame, struct trib_blob **blob, struct trib_error *error)
{
    uint8_t *exact = trib_realloc_array(frame->data, frame->len, 1);
    if (exact) {
        frame->data = exact;
    }
    struct trib_blob *made = trib_blob_adopt(frame->data, frame->len);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    *frame = (struct trib_buf){0};
    *blob = made;
    return TRIB_OK;
}

enum trib_status trib_frame_encode(const struct trib_frame_job *job, struct trib_blob **frame, struct trib_error *error)
{
    if (!can_hold(job->n)) {
        return refuse_n(job->n, error);
    }
    struct encoder encoder = {.job = job,
                              .plain = trib_chain_plain(job->chain),
                              .header = make_header(job->kind, job->chain, job->seed, job->schema, job->n)};
    enum trib_status status = TRIB_OK;
    if (!encoder.plain && !trib_all_finite(job->vector, job->n)) { /* before a survey looks at the values */
        status = refuse_values(job->chain->text, job->vector, 0, job->n, error);
    } else if (!make_lanes(&encoder)) {
        status = trib_fail_no_memory(error);
    } else {
        status = trib_survey_new(job->chain, job->seed, job->vector, job->n, &encoder.survey, error);
    }
    if (status == TRIB_OK) {
        status = encode_blocks(&encoder, error);
    }
    if (status == TRIB_OK) {
        status = make_blob(&encoder.frame, frame, error);
    }
    clear_encoder(&encoder);
    return status;
}

/* ---- raw frames ---- */

size_t trib_frame_raw_len(size_t n, size_t *payload_offset)
{
    if (!can_hold(n)) {
        return 0;
    }
    *payload_offset = (size_t)trib_frame_payload_offset(trib_frame_n_blocks(n));
    return *payload_offset + n * sizeof(float) + TRIB_FRAME_CRC_LEN;
}

enum trib_status trib_frame_seal_raw(enum trib_frame_kind kind, const uint8_t schema[TRIB_FRAME_HASH_LEN], size_t n,
                                     uint8_t *frame, size_t frame_len, struct trib_error *error)
{
    size_t offset = 0;
    size_t len = trib_frame_raw_len(n, &offset);
    if (len == 0) {
        return refuse_n(n, error);
    }
    if (frame_len != len) {
        return trib_fail(error, TRIB_INVALID, "frame: %zu bytes for %zu raw elements, which take %zu", frame_len, n,
                         len);
    }
    const struct trib_chain raw = {.n = 1, .uses = {{.stage = &trib_stage_f32, .caps = trib_stage_f32.caps}}};
    struct trib_frame_header header = make_header(kind, &raw, 0, schema, n);
    trib_frame_head_write(&header, frame);
    for (uint32_t block = 0; block < header.n_blocks; block++) {
        write_block_len(frame, block, trib_frame_block_n(n, block) * sizeof(float));
    }
    uint32_t crc = trib_crc32c(0, frame, offset);
    for (uint32_t block = 0; block < header.n_blocks; block++) {
        size_t first = (size_t)block * TRIB_CODEC_BLOCK;
        size_t block_n = trib_frame_block_n(n, block);
        const float *values = (const float *)(const void *)(frame + offset) + first;
        if (!trib_all_finite(values, block_n)) {
            return refuse_values(trib_stage_f32.name, values, first, block_n, error);
        }
        crc = trib_crc32c(crc, values, block_n * sizeof(float)); /* while the block is still in the cache */
    }
    trib_store_u32(frame + len - TRIB_FRAME_CRC_LEN, crc);
    return TRIB_OK;
}
