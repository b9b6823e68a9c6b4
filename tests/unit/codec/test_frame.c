/* Frames: what goes in comes out; whatever is wrong with one is said, with its own status and message; nothing that was
 * changed on the way is accepted. */
#include "codec/frame.h"

#include "base/buf.h"
#include "base/crc.h"
#include "base/mem.h"
#include "base/rng.h"

#include "fail_memory.h"
#include "test_frames.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static uint8_t schema[TRIB_FRAME_HASH_LEN];

static float *make_vector(size_t n)
{
    float *vector = malloc(n * sizeof *vector);
    ck_assert_ptr_nonnull(vector);
    struct trib_rng rng = trib_rng_init(1, "frame", n, 0);
    for (size_t i = 0; i < n; i++) { /* halves, so that both codecs give back the same */
        vector[i] = (float)((double)trib_rng_below(&rng, 2048) / 1024 - 1);
    }
    return vector;
}

static struct trib_blob *make_frame(const char *codec, size_t n)
{
    for (int i = 0; i < TRIB_FRAME_HASH_LEN; i++) {
        schema[i] = (uint8_t)(0xa0 + i);
    }
    float *vector = make_vector(n);
    struct trib_blob *frame = NULL;
    struct trib_error error;
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, codec, 7, schema, vector, n, &frame, &error), TRIB_OK);
    free(vector);
    return frame;
}

static void fix_crc(uint8_t *bytes, size_t len)
{
    trib_store_u32(bytes + len - 4, trib_crc32c(0, bytes, len - 4));
}

/* A source that is no memory: watches what it is asked for. */
struct watched {
    const uint8_t *bytes;
    uint64_t len;
    size_t largest, reads;
    size_t fail_at;     /* fail this read, counted from 1; 0 = none */
    size_t change_at;   /* from this read on the first block's length is another; 0 = never */
    uint32_t wrong_len; /* that one */
};

static enum trib_status watched_read(void *context, uint64_t offset, void *to, size_t len, struct trib_error *error)
{
    struct watched *watched = context;
    ck_assert_uint_le(offset, watched->len);
    ck_assert_uint_le(len, watched->len - offset);
    if (++watched->reads == watched->fail_at) {
        return trib_fail(error, TRIB_IO, "the disk is gone");
    }
    watched->largest = len > watched->largest ? len : watched->largest;
    memcpy(to, watched->bytes + offset, len);
    if (watched->change_at != 0 && watched->reads >= watched->change_at && offset == TRIB_FRAME_FIXED_LEN) {
        trib_store_u32(to, watched->wrong_len);
    }
    return TRIB_OK;
}

static struct trib_frame_source watched_source(struct watched *watched)
{
    return (struct trib_frame_source){.read = watched_read, .context = watched, .len = watched->len};
}

struct visits {
    size_t n_visits, next;
    float *vector; /* compared with, unless NULL */
    enum trib_status answer;
};

static enum trib_status count_visit(void *context, size_t first, const float *values, size_t n,
                                    struct trib_error *error)
{
    struct visits *visits = context;
    ck_assert_uint_eq(first, visits->next);
    ck_assert_uint_le(n, TRIB_CODEC_BLOCK);
    visits->next += n;
    visits->n_visits++;
    if (visits->vector) {
        ck_assert_mem_eq(values, visits->vector + first, n * sizeof *values);
    }
    return visits->answer == TRIB_OK ? TRIB_OK : trib_fail(error, visits->answer, "the visitor has had enough");
}

/* Walk bytes both as memory and by reading; both must say the same. */
static enum trib_status walk_bytes(const uint8_t *bytes, size_t len, const struct trib_frame_expect *expect,
                                   struct visits *visits, struct trib_error *error)
{
    struct visits before = *visits;
    struct trib_blob *blob = trib_blob_copy(bytes, len);
    struct trib_frame_source memory = trib_frame_source_memory(blob);
    error->message[0] = '\0';
    enum trib_status status = trib_frame_walk(&memory, expect, NULL, count_visit, visits, NULL, error);
    struct watched watched = {.bytes = trib_blob_data(blob), .len = len};
    struct trib_frame_source source = watched_source(&watched);
    struct trib_error again = {0};
    ck_assert_int_eq(trib_frame_walk(&source, expect, NULL, count_visit, &before, NULL, &again), status);
    ck_assert_str_eq(error->message, again.message);
    ck_assert_uint_eq(before.n_visits, visits->n_visits);
    if (status != TRIB_OK) {
        ck_assert_int_eq(error->status, status);
        ck_assert_str_ne(error->message, "");
    }
    trib_blob_unref(blob);
    return status;
}

static const char *const codecs[] = {"f32", "f16"};
static const size_t sizes[] = {
    1, 5, 14, 15, 16, TRIB_CODEC_BLOCK - 1, TRIB_CODEC_BLOCK, TRIB_CODEC_BLOCK + 1, 15 * TRIB_CODEC_BLOCK + 3};

START_TEST(round_trip)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        struct trib_error error;
        struct trib_blob *frame = make_frame(codecs[_i], n);
        struct trib_frame_source source = trib_frame_source_memory(frame);
        struct trib_frame_header header;
        ck_assert_int_eq(trib_frame_parse_header(&source, &header, &error), TRIB_OK);
        ck_assert_int_eq(header.kind, TRIB_FRAME_UPDATE);
        ck_assert_str_eq(header.chain.text, codecs[_i]);
        ck_assert_uint_eq(header.n_elements, n);
        ck_assert_uint_eq(header.seed, 7);
        ck_assert_mem_eq(header.schema, schema, sizeof schema);
        ck_assert_uint_eq(header.n_blocks, (n + TRIB_CODEC_BLOCK - 1) / TRIB_CODEC_BLOCK);
        ck_assert_uint_eq(header.frame_len, trib_blob_len(frame));
        ck_assert_uint_eq(header.payload_offset % 64, 0);

        float *vector = make_vector(n), *decoded = malloc(n * sizeof *decoded);
        struct visits visits = {.vector = vector};
        struct trib_frame_expect expect = {.kind = TRIB_FRAME_UPDATE, .schema = schema, .n_elements = n};
        ck_assert_int_eq(walk_bytes(trib_blob_data(frame), trib_blob_len(frame), &expect, &visits, &error), TRIB_OK);
        ck_assert_uint_eq(visits.n_visits, header.n_blocks);
        ck_assert_uint_eq(visits.next, n);
        ck_assert_int_eq(trib_frame_decode(&source, &expect, decoded, n, &error), TRIB_OK);
        ck_assert_mem_eq(decoded, vector, n * sizeof *vector);
        ck_assert_int_eq(trib_frame_walk(&source, NULL, NULL, NULL, NULL, &header, &error), TRIB_OK);
        free(decoded);
        free(vector);
        trib_blob_unref(frame);
    }
}
END_TEST

START_TEST(sealed_in_place)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i], offset = 0;
        struct trib_error error;
        size_t len = trib_frame_raw_len(n, &offset);
        float *vector = make_vector(n);
        struct trib_blob *blob = trib_blob_new(len), *encoded = NULL;
        memset(trib_blob_fill(blob), 0xee, len);
        memcpy(trib_blob_fill(blob) + offset, vector, n * sizeof *vector);
        ck_assert_int_eq(trib_frame_seal_raw(TRIB_FRAME_MODEL, schema, n, trib_blob_fill(blob), len, &error), TRIB_OK);
        ck_assert_int_eq(encode_frame(TRIB_FRAME_MODEL, "f32", 0, schema, vector, n, &encoded, &error), TRIB_OK);
        ck_assert_uint_eq(trib_blob_len(encoded), len);
        ck_assert_mem_eq(trib_blob_data(encoded), trib_blob_data(blob), len);
        ck_assert_mem_eq(trib_blob_data(blob) + offset, vector, n * sizeof *vector);

        ck_assert_int_eq(trib_frame_seal_raw(TRIB_FRAME_MODEL, schema, n, trib_blob_fill(blob), len - 1, &error),
                         TRIB_INVALID);
        float nan = NAN;
        memcpy(trib_blob_fill(blob) + offset + (n - 1) * sizeof nan, &nan, sizeof nan);
        ck_assert_int_eq(trib_frame_seal_raw(TRIB_FRAME_MODEL, schema, n, trib_blob_fill(blob), len, &error),
                         TRIB_NOT_FINITE);
        char expected[64];
        snprintf(expected, sizeof expected, "element %zu is nan", n - 1);
        ck_assert_ptr_nonnull(strstr(error.message, expected));
        free(vector);
        trib_blob_unref(blob);
        trib_blob_unref(encoded);
    }
    size_t offset = 0;
    ck_assert_uint_eq(trib_frame_raw_len(0, &offset), 0);
    ck_assert_uint_eq(trib_frame_raw_len(SIZE_MAX, &offset), 0);
}
END_TEST

START_TEST(encode_refuses)
{
    struct trib_error error;
    struct trib_blob *frame = NULL;
    const size_t n = TRIB_CODEC_BLOCK + 10;
    float *vector = make_vector(n);
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "f16", 0, schema, vector, 0, &frame, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "frame: 0 elements; between 1 and 1099511627776 are possible");
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "f16", 0, schema, vector, SIZE_MAX, &frame, &error), TRIB_INVALID);
    vector[TRIB_CODEC_BLOCK + 4] = -70000;
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "f16", 0, schema, vector, n, &frame, &error), TRIB_NOT_FINITE);
    ck_assert_str_eq(error.message, "frame: element 65540 is -70000, which codec f16 cannot carry");
    vector[TRIB_CODEC_BLOCK + 2] = INFINITY;
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "f16", 0, schema, vector, n, &frame, &error), TRIB_NOT_FINITE);
    ck_assert_str_eq(error.message, "frame: element 65538 is inf, which codec f16 cannot carry");
    ck_assert_ptr_null(frame);
    free(vector);
}
END_TEST

/* One field changed, with a CRC that fits, so that the field's own check must find it. n = 5 elements, codec f16. */
static const struct {
    size_t at;
    uint8_t bytes[8];
    size_t len;
    enum trib_status status;
    const char *message;
} faults[] = {
    {0, "XRF1", 4, TRIB_CORRUPT, "frame: starts with 58524631, not with \"TRF1\""},
    {3, "2", 1, TRIB_UNSUPPORTED, "frame: format version 2; this build reads version 1"},
    {4, {3}, 1, TRIB_CORRUPT, "frame: kind 3 is neither 1 (update) nor 2 (model)"},
    {4, {0}, 1, TRIB_CORRUPT, "frame: kind 0 is neither 1 (update) nor 2 (model)"},
    {4, {2}, 1, TRIB_MISMATCH, "frame: holds a model; an update is expected"},
    {5, {0}, 1, TRIB_CORRUPT, "frame: 0 coding stages; between 1 and 8 are possible"},
    {5, {9}, 1, TRIB_CORRUPT, "frame: 9 coding stages; between 1 and 8 are possible"},
    {5, {2, 2, 1}, 3, TRIB_CORRUPT, "frame: f16 and f32 are both a quantiser; a chain has at most one"},
    {5, {2, 2, 2}, 3, TRIB_CORRUPT, "frame: f16 and f16 are both a quantiser; a chain has at most one"},
    {5, {2, 2, 200}, 3, TRIB_UNSUPPORTED, "frame: codec stage number 200 is not known to this version"},
    {6, {77}, 1, TRIB_UNSUPPORTED, "frame: codec stage number 77 is not known to this version"},
    {13, {1}, 1, TRIB_CORRUPT, "frame: codec id 1 after the last of 1 stages"},
    {14, {4, 1}, 2, TRIB_UNSUPPORTED, "frame: flags 0x0104 are unknown to this build"},
    {16, {0}, 1, TRIB_CORRUPT, "frame: holds no elements"},
    {16, {6}, 1, TRIB_MISMATCH, "frame: 6 elements; 5 are expected"},
    {16,
     {1, 0, 0, 0, 0, 1},
     8,
     TRIB_LIMIT,
     "frame: 1099511627777 elements are more than a frame may hold (1099511627776)"},
    {32, {0}, 1, TRIB_MISMATCH, "frame: made for model schema 00a1a2a3a4a5..., ours is a0a1a2a3a4a5..."},
    {64, {2}, 1, TRIB_CORRUPT, "frame: 2 blocks; 5 elements make 1"},
    {68, {0, 0, 1}, 3, TRIB_CORRUPT, "frame: reserved field is 0x00010000, not 0"},
    {72, {11}, 1, TRIB_CORRUPT, "frame: block 0 has 11 bytes; codec f16 takes exactly 10 for 5 elements"},
    {72, {9}, 1, TRIB_CORRUPT, "frame: block 0 has 9 bytes; codec f16 takes exactly 10 for 5 elements"},
    {127, {1}, 1, TRIB_CORRUPT, "frame: byte 127 of the padding is 0x01, not 0"},
};

START_TEST(every_field)
{
    struct trib_blob *frame = make_frame("f16", 5);
    size_t len = trib_blob_len(frame);
    ck_assert_uint_eq(len, 128 + 10 + 4);
    uint8_t bytes[142];
    memcpy(bytes, trib_blob_data(frame), len);
    memcpy(bytes + faults[_i].at, faults[_i].bytes, faults[_i].len);
    fix_crc(bytes, len);
    struct visits visits = {0};
    struct trib_error error;
    struct trib_frame_expect expect = {.kind = TRIB_FRAME_UPDATE, .schema = schema, .n_elements = 5};
    ck_assert_int_eq(walk_bytes(bytes, len, &expect, &visits, &error), faults[_i].status);
    ck_assert_str_eq(error.message, faults[_i].message);
    ck_assert_uint_eq(visits.n_visits, 0);
    trib_blob_unref(frame);
}
END_TEST

/* What the head claims is compared with what is expected and what there is before anything is allocated. */
START_TEST(huge_claims)
{
    struct trib_blob *frame = make_frame("f32", 5);
    uint8_t bytes[256];
    size_t len = trib_blob_len(frame);
    memcpy(bytes, trib_blob_data(frame), len);
    trib_store_u64(bytes + 16, TRIB_FRAME_MAX_ELEMENTS);
    trib_store_u32(bytes + 64, 1 << 24);
    fix_crc(bytes, len);
    struct visits visits = {0};
    struct trib_error error;
    struct watched watched = {.bytes = bytes, .len = len};
    struct trib_frame_source source = watched_source(&watched);
    struct trib_frame_expect expect = {.kind = TRIB_FRAME_UPDATE, .schema = schema, .n_elements = 5};
    (void)fail_memory_after(-1, false);
    ck_assert_int_eq(trib_frame_walk(&source, &expect, NULL, count_visit, &visits, NULL, &error), TRIB_MISMATCH);
    ck_assert_str_eq(error.message, "frame: 1099511627776 elements; 5 are expected");
    ck_assert_int_eq(trib_frame_walk(&source, NULL, NULL, count_visit, &visits, NULL, &error), TRIB_CORRUPT);
    ck_assert_str_eq(error.message, "frame: 152 bytes, header and table alone take 67108992: it was cut");
    ck_assert_int_eq(fail_memory_after(-1, false), 0);
    ck_assert_uint_eq(visits.n_visits, 0);
    trib_blob_unref(frame);
}
END_TEST

START_TEST(one_block_is_what_the_whole_has_there)
{
    enum { LEN = 2 * TRIB_CODEC_BLOCK + 100 };
    struct trib_blob *frame = make_frame(_i ? "rotate|uniform:4|range" : "f32", LEN);
    struct trib_frame_source source = trib_frame_source_memory(frame);
    static float whole[LEN], part[TRIB_CODEC_BLOCK];
    struct trib_error error;
    ck_assert_int_eq(trib_frame_decode(&source, NULL, whole, LEN, &error), TRIB_OK);
    for (uint32_t block = 0; block < 3; block++) {
        size_t n = block < 2 ? TRIB_CODEC_BLOCK : 100;
        for (size_t asked = 1; asked <= n; asked = asked < n && asked * 300 > n ? n : asked * 300) {
            memset(part, 0xff, sizeof part);
            ck_assert_int_eq(trib_frame_read_block(&source, NULL, block, asked, part, &error), TRIB_OK);
            ck_assert_mem_eq(part, whole + (size_t)block * TRIB_CODEC_BLOCK, asked * sizeof part[0]);
            if (asked == n) {
                break;
            }
        }
    }
    ck_assert_int_eq(trib_frame_read_block(&source, NULL, 3, 1, part, &error), TRIB_INVALID);
    ck_assert_int_eq(trib_frame_read_block(&source, NULL, 2, 101, part, &error), TRIB_INVALID);
    trib_blob_unref(frame);
}
END_TEST

START_TEST(cut_at_every_length)
{
    const size_t n = _i == 0 ? 5 : 17;
    struct trib_blob *frame = make_frame(codecs[_i], n);
    size_t whole = trib_blob_len(frame);
    uint8_t *bytes = calloc(whole + 40, 1);
    memcpy(bytes, trib_blob_data(frame), whole);
    for (size_t len = 0; len < whole + 40; len++) {
        struct visits visits = {0};
        struct trib_error error;
        enum trib_status status = walk_bytes(bytes, len, NULL, &visits, &error);
        ck_assert_int_eq(status, len == whole ? TRIB_OK : TRIB_CORRUPT);
        ck_assert_uint_eq(visits.n_visits, len == whole);
        if (len != whole) {
            char number[32];
            snprintf(number, sizeof number, "%zu bytes", len);
            ck_assert_ptr_nonnull(strstr(error.message, number));
            ck_assert_int_eq(!strstr(error.message, len < 72 ? "less than a header" : "it was cut"), len >= whole);
        }
    }
    free(bytes);
    trib_blob_unref(frame);
}
END_TEST

START_TEST(every_bit_flipped)
{
    struct trib_blob *frame = make_frame(codecs[_i], 19);
    size_t len = trib_blob_len(frame);
    uint8_t *bytes = malloc(len);
    memcpy(bytes, trib_blob_data(frame), len);
    size_t by_crc = 0;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct visits visits = {0};
        struct trib_error error;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_ne(walk_bytes(bytes, len, NULL, &visits, &error), TRIB_OK);
        by_crc += strstr(error.message, "CRC") ? 1 : 0;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_uint_gt(by_crc, 8 * 19);
    free(bytes);
    trib_blob_unref(frame);
}
END_TEST

START_TEST(not_finite_inside)
{
    struct trib_blob *frame = make_frame("f32", TRIB_CODEC_BLOCK + 3);
    size_t len = trib_blob_len(frame);
    uint8_t *bytes = malloc(len);
    memcpy(bytes, trib_blob_data(frame), len);
    trib_store_u32(bytes + len - 8, 0x7fc00000);
    fix_crc(bytes, len);
    struct visits visits = {0};
    struct trib_error error;
    ck_assert_int_eq(walk_bytes(bytes, len, NULL, &visits, &error), TRIB_NOT_FINITE);
    ck_assert_str_eq(error.message, "frame: block 1 (elements 65536 to 65538, codec f32): a value is not finite");
    ck_assert_uint_eq(visits.n_visits, 1);
    free(bytes);
    trib_blob_unref(frame);
}
END_TEST

/* A frame of buckets around a centre beyond their alphabet, with a CRC that fits. Without the bound it would decode to
 * finite values that no encoder sends. fuzz_frame's corpus has this frame as buckets_centre. */
START_TEST(hostile_buckets)
{
    enum { N = 655, ALPHABET = 255, MODE_BUCKETS = 3, MODE_BITS = 3, FINE_BITS = 3 };
    static const uint8_t any_schema[TRIB_FRAME_HASH_LEN] = {5};
    float *vector = normal_values(N, 3);
    struct trib_blob *plain = NULL, *frame = NULL;
    struct trib_error error;
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "q8", 7, any_schema, vector, N, &plain, &error), TRIB_OK);
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "q8|range", 7, any_schema, vector, N, &frame, &error), TRIB_OK);
    size_t at = trib_blob_len(plain) - 4 - N, len = trib_blob_len(frame); /* behind the scales comes a byte a value */
    uint8_t *bytes = malloc(len);
    memcpy(bytes, trib_blob_data(frame), len);
    uint32_t head = trib_load_u32(bytes + at);
    ck_assert_uint_eq(head % (1 << MODE_BITS), MODE_BUCKETS);
    for (uint32_t centre = ALPHABET - 1; centre <= ALPHABET; centre++) {
        struct visits visits = {0};
        unsigned place = MODE_BITS + FINE_BITS;
        trib_store_u32(bytes + at, (head & ~(UINT32_C(0xff) << place)) | centre << place);
        fix_crc(bytes, len);
        ck_assert_int_eq(walk_bytes(bytes, len, NULL, &visits, &error), centre < ALPHABET ? TRIB_OK : TRIB_CORRUPT);
        ck_assert_uint_eq(visits.n_visits, centre < ALPHABET);
    }
    ck_assert_msg(strstr(error.message, "block 0"), "%s", error.message);
    trib_free(vector);
    free(bytes);
    trib_blob_unref(plain);
    trib_blob_unref(frame);
}
END_TEST

/* A walk reads one block at a time, ends when the visitor or the source does, and survives short memory. */
START_TEST(bounded_and_interrupted)
{
    const size_t n = 15 * TRIB_CODEC_BLOCK + 3;
    struct trib_blob *frame = make_frame(codecs[_i], n);
    struct trib_error error;
    size_t reads = 0;
    for (size_t fail_at = 0; fail_at <= reads; fail_at++) {
        struct watched watched = {.bytes = trib_blob_data(frame), .len = trib_blob_len(frame), .fail_at = fail_at};
        struct trib_frame_source source = watched_source(&watched);
        struct visits visits = {0};
        enum trib_status status = trib_frame_walk(&source, NULL, NULL, count_visit, &visits, NULL, &error);
        ck_assert_int_eq(status, fail_at == 0 ? TRIB_OK : TRIB_IO);
        ck_assert_uint_le(watched.largest, trib_stage_find(codecs[_i])->width * (size_t)TRIB_CODEC_BLOCK);
        reads = fail_at == 0 ? watched.reads : reads;
    }
    ck_assert_uint_ge(reads, 16);
    struct visits visits = {.answer = TRIB_CANCELLED};
    struct trib_frame_source source = trib_frame_source_memory(frame);
    ck_assert_int_eq(trib_frame_walk(&source, NULL, NULL, count_visit, &visits, NULL, &error), TRIB_CANCELLED);
    ck_assert_str_eq(error.message, "the visitor has had enough");
    ck_assert_uint_eq(visits.n_visits, 1);
    trib_blob_unref(frame);
}
END_TEST

/* A spooled file that changes after its head was checked is refused; no length is believed twice. */
START_TEST(changed_between_reads)
{
    static const uint32_t wrong[] = {0, 1, 19, 21, 4096, TRIB_CODEC_BLOCK * 4, UINT32_MAX};
    struct trib_blob *frame = make_frame("f16", 10);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct watched watched = {.bytes = trib_blob_data(frame), .len = trib_blob_len(frame)};
        watched.change_at = 3; /* fixed part, table, padding, table again */
        watched.wrong_len = wrong[i];
        struct trib_frame_source source = watched_source(&watched);
        struct visits visits = {0};
        struct trib_error error;
        ck_assert_int_eq(trib_frame_walk(&source, NULL, NULL, count_visit, &visits, NULL, &error), TRIB_CORRUPT);
        ck_assert_uint_eq(watched.reads, 4);
        ck_assert_uint_eq(visits.n_visits, 0);
    }
    trib_blob_unref(frame);
}
END_TEST

/* What does not fail while memory is short is the same, byte by byte, as when it is plenty. */
START_TEST(short_memory)
{
    struct trib_blob *frame = make_frame("sign", 100);
    struct watched watched = {.bytes = trib_blob_data(frame), .len = trib_blob_len(frame)};
    struct trib_frame_source source = watched_source(&watched);
    float *vector = make_vector(100), decoded[100];
    struct trib_error error;
    int failures = 0;
    ck_assert_int_eq(trib_frame_decode(&source, NULL, decoded, 100, &error), TRIB_OK);
    for (int64_t nth = 0;; nth++) {
        struct trib_blob *encoded = NULL;
        struct visits visits = {.vector = decoded};
        (void)fail_memory_after(nth, false);
        enum trib_status encode = encode_frame(TRIB_FRAME_UPDATE, "sign", 7, schema, vector, 100, &encoded, &error);
        enum trib_status walk = trib_frame_walk(&source, NULL, NULL, count_visit, &visits, NULL, &error);
        bool reached = fail_memory_after(-1, false) > nth;
        ck_assert(encode == TRIB_OK || encode == TRIB_NO_MEMORY);
        ck_assert(walk == TRIB_OK || walk == TRIB_NO_MEMORY);
        ck_assert_int_eq(!encoded, encode != TRIB_OK);
        ck_assert_uint_eq(visits.next, walk == TRIB_OK ? 100 : 0);
        if (encoded) {
            ck_assert_uint_eq(trib_blob_len(encoded), trib_blob_len(frame));
            ck_assert_mem_eq(trib_blob_data(encoded), trib_blob_data(frame), trib_blob_len(frame));
        }
        trib_blob_unref(encoded);
        if (!reached) {
            break;
        }
        failures += encode != TRIB_OK || walk != TRIB_OK;
    }
    ck_assert_int_ge(failures, 10);
    free(vector);
    trib_blob_unref(frame);
}
END_TEST

START_TEST(decode_refuses)
{
    struct trib_blob *frame = make_frame("f32", 5);
    struct trib_frame_source source = trib_frame_source_memory(frame);
    struct trib_error error;
    float vector[8];
    ck_assert_int_eq(trib_frame_decode(&source, NULL, vector, 8, &error), TRIB_MISMATCH);
    ck_assert_str_eq(error.message, "frame: 5 elements; the vector has 8");
    struct trib_frame_expect expect = {.kind = TRIB_FRAME_MODEL};
    ck_assert_int_eq(trib_frame_decode(&source, &expect, vector, 5, &error), TRIB_MISMATCH);
    ck_assert_str_eq(error.message, "frame: holds an update; a model is expected");
    uint8_t byte;
    ck_assert_int_eq(source.read(source.context, source.len, &byte, 1, &error), TRIB_CORRUPT);
    ck_assert_int_eq(source.read(source.context, 0, &byte, 1, &error), TRIB_OK);
    ck_assert_int_eq(byte, 'T');
    trib_blob_unref(frame);
}
END_TEST

static void keep_decoded(void *context, size_t first, const float *values, size_t n)
{
    memcpy((float *)context + first, values, n * sizeof *values);
}

static enum trib_status keep_walked(void *context, size_t first, const float *values, size_t n,
                                    struct trib_error *error)
{
    (void)error;
    keep_decoded(context, first, values, n);
    return TRIB_OK;
}

/* A chain whose blocks are of no plain length: each its own, added up, and the same for any number of threads. */
START_TEST(several_threads)
{
    const size_t n = 5 * TRIB_CODEC_BLOCK + 1001;
    float *vector = make_vector(n), *decoded = malloc(n * sizeof *decoded);
    struct trib_blob *alone = NULL, *together = NULL;
    struct trib_thread_pool *pool = NULL;
    struct trib_error error;
    ck_assert_int_eq(trib_thread_pool_new(3, &pool, &error), TRIB_OK);
    const struct trib_chain chain = chain_of("sign");
    struct trib_frame_job job = {
        .kind = TRIB_FRAME_UPDATE, .chain = &chain, .seed = 42, .schema = schema, .vector = vector, .n = n};
    ck_assert_int_eq(trib_frame_encode(&job, &alone, &error), TRIB_OK);
    job.pool = pool;
    job.decoded = keep_decoded;
    job.context = decoded;
    ck_assert_int_eq(trib_frame_encode(&job, &together, &error), TRIB_OK);
    ck_assert_uint_eq(trib_blob_len(alone), 128 + 6 * 4 + 5 * TRIB_CODEC_BLOCK / 8 + 1001 / 8 + 1 + 4);
    ck_assert_uint_eq(trib_blob_len(together), trib_blob_len(alone));
    ck_assert_mem_eq(trib_blob_data(together), trib_blob_data(alone), trib_blob_len(alone));

    float *walked = malloc(n * sizeof *walked);
    struct trib_frame_source source = trib_frame_source_memory(alone);
    ck_assert_int_eq(trib_frame_walk(&source, NULL, pool, keep_walked, walked, NULL, &error), TRIB_OK);
    ck_assert_mem_eq(walked, decoded, n * sizeof *walked);
    ck_assert_int_eq(trib_frame_decode(&source, NULL, walked, n, &error), TRIB_OK);
    ck_assert_mem_eq(walked, decoded, n * sizeof *walked);
    trib_thread_pool_free(pool);
    trib_blob_unref(alone);
    trib_blob_unref(together);
    free(walked);
    free(decoded);
    free(vector);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *tests = tcase_create("frame");
    tcase_add_loop_test(tests, round_trip, 0, 2);
    tcase_add_test(tests, sealed_in_place);
    tcase_add_test(tests, encode_refuses);
    tcase_add_loop_test(tests, every_field, 0, (int)(sizeof faults / sizeof faults[0]));
    tcase_add_test(tests, huge_claims);
    tcase_add_loop_test(tests, one_block_is_what_the_whole_has_there, 0, 2);
    tcase_add_loop_test(tests, cut_at_every_length, 0, 2);
    tcase_add_loop_test(tests, every_bit_flipped, 0, 2);
    tcase_add_test(tests, not_finite_inside);
    tcase_add_test(tests, hostile_buckets);
    tcase_add_loop_test(tests, bounded_and_interrupted, 0, 2);
    tcase_add_test(tests, changed_between_reads);
    tcase_add_test(tests, short_memory);
    tcase_add_test(tests, decode_refuses);
    tcase_add_test(tests, several_threads);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
