/* The Chunk message by hand: the same bytes as protobuf's own, every cut and every wrong field refused; and the
 * receiver of a blob: order, gaps, repeats, lengths and checksums. */
#include "wire/chunk.h"

#include "base/crc.h"
#include "base/rng.h"
#include "crypto/hash.h"
#include "wire/message.h"
#include "test_main.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct trib_error error;

static struct trib_chunk random_chunk(struct trib_rng *rng)
{
    static const uint64_t numbers[] = {0, 1, 127, 128, 300, 1 << 20, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    enum { NUMBERS = sizeof numbers / sizeof numbers[0] };
    struct trib_chunk chunk = {.round = numbers[trib_rng_below(rng, NUMBERS)],
                               .blob_len = numbers[trib_rng_below(rng, NUMBERS)],
                               .offset = numbers[trib_rng_below(rng, NUMBERS)],
                               .crc32c = trib_rng_u32(rng) * (uint32_t)trib_rng_below(rng, 2),
                               .last = trib_rng_below(rng, 2) == 1,
                               .has_sha256 = trib_rng_below(rng, 2) == 1,
                               .payload_len = (size_t)trib_rng_below(rng, 400)};
    size_t run_len = (size_t)trib_rng_below(rng, TRIB_RUN_ID_LEN + 1);
    memset(chunk.run, 'r', run_len);
    for (size_t i = 0; chunk.has_sha256 && i < sizeof chunk.sha256; i++) {
        chunk.sha256[i] = (uint8_t)trib_rng_u32(rng);
    }
    return chunk;
}

static void expect_same(const struct trib_chunk *a, const struct trib_chunk *b)
{
    ck_assert_str_eq(a->run, b->run);
    ck_assert_uint_eq(a->round, b->round);
    ck_assert_uint_eq(a->blob_len, b->blob_len);
    ck_assert_uint_eq(a->offset, b->offset);
    ck_assert_uint_eq(a->crc32c, b->crc32c);
    ck_assert_uint_eq(a->payload_len, b->payload_len);
    ck_assert(a->last == b->last && a->has_sha256 == b->has_sha256);
    ck_assert_mem_eq(a->sha256, b->sha256, sizeof a->sha256);
}

static size_t make_message(const struct trib_chunk *chunk, uint8_t *message)
{
    size_t head_len = trib_chunk_head(chunk, message);
    ck_assert_uint_le(head_len, TRIB_CHUNK_HEAD_MAX);
    memset(message + head_len, 0xee, chunk->payload_len);
    return head_len + chunk->payload_len;
}

static enum trib_status parse(const uint8_t *message, size_t len, struct trib_chunk *chunk, size_t *payload_offset)
{
    /* an exact copy, so that the sanitizer sees a read past what is at hand */
    size_t head_len = len < TRIB_CHUNK_HEAD_MAX ? len : TRIB_CHUNK_HEAD_MAX;
    uint8_t *head = malloc(head_len ? head_len : 1);
    ck_assert_ptr_nonnull(head);
    memcpy(head, message, head_len);
    error.message[0] = 0;
    enum trib_status status = trib_chunk_parse(head, head_len, len, chunk, payload_offset, &error);
    free(head);
    ck_assert(status == TRIB_OK || error.message[0]);
    return status;
}

START_TEST(what_is_written_is_read)
{
    struct trib_rng rng = trib_rng_init(1, "chunk", 0, 0);
    for (int i = 0; i < 2000; i++) {
        uint8_t message[1024];
        struct trib_chunk chunk = random_chunk(&rng), got;
        size_t payload_offset, len = make_message(&chunk, message);
        ck_assert_int_eq(parse(message, len, &got, &payload_offset), TRIB_OK);
        ck_assert_uint_eq(payload_offset, len - chunk.payload_len);
        expect_same(&chunk, &got);
    }
}
END_TEST

/* Both ways between the hand-written head and protobuf-c. */
START_TEST(protobuf_reads_and_writes_the_same_bytes)
{
    struct trib_rng rng = trib_rng_init(2, "chunk", 0, 0);
    for (int i = 0; i < 1000; i++) {
        uint8_t message[1024];
        struct trib_chunk chunk = random_chunk(&rng);
        chunk.payload_len = chunk.payload_len ? chunk.payload_len : 1; /* proto3 would leave an empty one out */
        size_t len = make_message(&chunk, message);
        ProtobufCMessage *parsed;
        ck_assert_int_eq(trib_message_unpack(&tributary__v1__chunk__descriptor, message, len, &parsed, &error),
                         TRIB_OK);
        const Tributary__V1__Chunk *got = (const Tributary__V1__Chunk *)(const void *)parsed;
        ck_assert_str_eq(got->run, chunk.run);
        ck_assert_uint_eq(got->round, chunk.round);
        ck_assert_uint_eq(got->sha256.len, chunk.has_sha256 ? 32 : 0);
        ck_assert(!chunk.has_sha256 || memcmp(got->sha256.data, chunk.sha256, 32) == 0);
        ck_assert_uint_eq(got->blob_len, chunk.blob_len);
        ck_assert_uint_eq(got->offset, chunk.offset);
        ck_assert_uint_eq(got->crc32c, chunk.crc32c);
        ck_assert_int_eq(got->last, chunk.last);
        ck_assert_uint_eq(got->payload.len, chunk.payload_len);
        struct trib_buf packed = {0};
        ck_assert_int_eq(trib_message_pack(parsed, &packed), TRIB_OK);
        ck_assert_uint_eq(packed.len, len);
        ck_assert_mem_eq(packed.data, message, len);
        struct trib_chunk again;
        size_t payload_offset;
        ck_assert_int_eq(parse(packed.data, packed.len, &again, &payload_offset), TRIB_OK);
        expect_same(&chunk, &again);
        trib_buf_clear(&packed);
        trib_message_free(parsed);
    }
}
END_TEST

/* A cut message is refused, unless the cut falls between two fields: then nothing tells it from a message without a
 * payload. */
START_TEST(every_cut_of_the_head_is_refused)
{
    uint8_t message[1024];
    struct trib_chunk chunk = {.run = "0123456789abcdef",
                               .round = 300,
                               .has_sha256 = true,
                               .blob_len = 70000,
                               .offset = 129,
                               .crc32c = 0xdeadbeef,
                               .last = true,
                               .payload_len = 64},
                      got;
    size_t payload_offset, len = make_message(&chunk, message);
    int whole_fields = 0;
    for (size_t cut = 0; cut < len; cut++) {
        enum trib_status status = parse(message, cut, &got, &payload_offset);
        if (status == TRIB_OK) {
            whole_fields++;
            ck_assert_uint_eq(got.payload_len, 0);
            ck_assert_uint_eq(payload_offset, cut);
        } else {
            ck_assert_int_eq(status, TRIB_PROTOCOL);
        }
    }
    ck_assert_int_eq(whole_fields, 8); /* before each of the eight fields */
}
END_TEST

START_TEST(unknown_fields_are_skipped)
{
    /* field 9 varint, 10 fixed64, 11 bytes, 12 fixed32, then a payload of two bytes */
    static const uint8_t message[] = {9 << 3, 0xac, 0x02,        10 << 3 | 1, 1,           2,   3,    4,           5, 6,
                                      7,      8,    11 << 3 | 2, 3,           'a',         'b', 'c',  12 << 3 | 5, 1, 2,
                                      3,      4,    2 << 3,      7,           15 << 3 | 2, 2,   0xee, 0xee};
    struct trib_chunk got;
    size_t payload_offset;
    ck_assert_int_eq(parse(message, sizeof message, &got, &payload_offset), TRIB_OK);
    ck_assert_uint_eq(got.round, 7);
    ck_assert_uint_eq(got.payload_len, 2);
    ck_assert_uint_eq(payload_offset, sizeof message - 2);
}
END_TEST

static void refuse(const void *message, size_t len, enum trib_status expected)
{
    struct trib_chunk got;
    size_t payload_offset;
    ck_assert_int_eq(parse(message, len, &got, &payload_offset), expected);
}

START_TEST(malformed_fields_are_refused)
{
    refuse("\x7a\x03xx", 4, TRIB_PROTOCOL);                                        /* payload longer than the message */
    refuse("\x7a\x01xx", 4, TRIB_PROTOCOL);                                        /* and shorter */
    refuse("\x7a", 1, TRIB_PROTOCOL);                                              /* no length */
    refuse("\x00", 1, TRIB_PROTOCOL);                                              /* field 0 */
    refuse("\x12\x01x", 3, TRIB_PROTOCOL);                                         /* round as bytes */
    refuse("\x08\x01", 2, TRIB_PROTOCOL);                                          /* run as a number */
    refuse("\x1a\x01x", 3, TRIB_PROTOCOL);                                         /* a hash of one byte */
    refuse("\x0b\x0c", 2, TRIB_PROTOCOL);                                          /* a group */
    refuse("\x0a\x02r\0", 4, TRIB_PROTOCOL);                                       /* a NUL within the run */
    refuse("\x30\xff\xff\xff\xff\x1f", 6, TRIB_PROTOCOL);                          /* crc above 32 bits */
    refuse("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, TRIB_PROTOCOL); /* a varint without end */
    refuse("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01xx", 13, TRIB_PROTOCOL);   /* a length near 2^64 */
    refuse("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, TRIB_PROTOCOL);         /* a tag near 2^64 */
    char longer[2 + TRIB_RUN_ID_LEN + 1] = {0x0a, TRIB_RUN_ID_LEN + 1};
    memset(longer + 2, 'r', TRIB_RUN_ID_LEN + 1);
    refuse(longer, sizeof longer, TRIB_PROTOCOL);
    ck_assert_str_eq(error.message, "malformed chunk: bad field 1 at byte 35 of 35");
}
END_TEST

START_TEST(a_payload_above_the_limit_is_refused)
{
    uint8_t head[TRIB_CHUNK_HEAD_MAX] = {0};
    struct trib_chunk chunk = {.payload_len = TRIB_CHUNK_PAYLOAD}, got;
    size_t payload_offset, head_len = trib_chunk_head(&chunk, head);
    ck_assert_int_eq(trib_chunk_parse(head, sizeof head, head_len + chunk.payload_len, &got, &payload_offset, &error),
                     TRIB_OK);
    ck_assert_uint_eq(got.payload_len, TRIB_CHUNK_PAYLOAD);
    chunk.payload_len++;
    head_len = trib_chunk_head(&chunk, head);
    ck_assert_int_eq(trib_chunk_parse(head, sizeof head, head_len + chunk.payload_len, &got, &payload_offset, &error),
                     TRIB_LIMIT);
    ck_assert_str_eq(error.message, "chunk payload of 1048577 bytes is above the limit of 1048576");
}
END_TEST

/* Fields that reach beyond the bytes at hand are refused, however long the message is. */
START_TEST(the_head_must_fit_into_what_is_gathered)
{
    uint8_t message[1000] = {9 << 3 | 2, 0x94, 0x05}; /* an unknown field of 660 bytes */
    refuse(message, sizeof message, TRIB_PROTOCOL);
}
END_TEST

/* ---- the receiver ---- */

enum { BLOB_LEN = 1000, PIECE = 300 };
static uint8_t blob[BLOB_LEN], digest[32];
static struct trib_chunk_receiver receiver;

static void begin_blob(void)
{
    for (int i = 0; i < BLOB_LEN; i++) {
        blob[i] = (uint8_t)(i * 7);
    }
    ck_assert_int_eq(trib_sha256(blob, BLOB_LEN, digest), TRIB_OK);
    ck_assert_int_eq(trib_chunk_receiver_init(&receiver, digest, BLOB_LEN, &error), TRIB_OK);
}

static void end_blob(void)
{
    trib_chunk_receiver_clear(&receiver);
}

static struct trib_chunk chunk_at(uint64_t offset, size_t len)
{
    struct trib_chunk chunk = {.offset = offset, .payload_len = len, .last = offset + len == BLOB_LEN};
    chunk.crc32c = trib_crc32c(0, blob + offset, len);
    if (offset == 0) {
        chunk.has_sha256 = true;
        memcpy(chunk.sha256, digest, sizeof digest);
        chunk.blob_len = BLOB_LEN;
    }
    return chunk;
}

static enum trib_status take(const struct trib_chunk *chunk, const uint8_t *payload)
{
    error.message[0] = 0;
    TRIB_TRY(trib_chunk_receiver_begin(&receiver, chunk, &error));
    size_t half = chunk->payload_len / 2;
    uint32_t crc = trib_crc32c(0, payload, half);
    TRIB_TRY(trib_chunk_receiver_hash(&receiver, payload, half, &error));
    crc = trib_crc32c(crc, payload + half, chunk->payload_len - half);
    TRIB_TRY(trib_chunk_receiver_hash(&receiver, payload + half, chunk->payload_len - half, &error));
    return trib_chunk_receiver_end(&receiver, chunk, crc, &error);
}

static void take_well(uint64_t offset, size_t len)
{
    struct trib_chunk chunk = chunk_at(offset, len);
    ck_assert_msg(take(&chunk, blob + offset) == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(receiver.received, offset + len);
}

START_TEST(a_blob_arrives_in_order)
{
    for (uint64_t at = 0; at < BLOB_LEN; at += PIECE) {
        ck_assert(!receiver.complete);
        take_well(at, BLOB_LEN - at < PIECE ? (size_t)(BLOB_LEN - at) : PIECE);
    }
    ck_assert(receiver.complete);
    struct trib_chunk more = {.offset = BLOB_LEN, .last = true};
    ck_assert_int_eq(take(&more, blob), TRIB_PROTOCOL);
    ck_assert_str_eq(error.message, "chunk at offset 1000 after the last one");
}
END_TEST

START_TEST(an_empty_last_chunk_may_end_it)
{
    struct trib_chunk all = chunk_at(0, BLOB_LEN);
    all.last = false;
    ck_assert_int_eq(take(&all, blob), TRIB_OK);
    ck_assert(!receiver.complete);
    struct trib_chunk end = {.offset = BLOB_LEN};
    ck_assert_int_eq(take(&end, blob), TRIB_PROTOCOL);
    end.last = true;
    ck_assert_int_eq(take(&end, blob), TRIB_OK);
    ck_assert(receiver.complete);
}
END_TEST

static void expect_refused(const struct trib_chunk *chunk, const uint8_t *payload, enum trib_status status,
                           const char *message)
{
    uint64_t before = receiver.received;
    ck_assert_int_eq(take(chunk, payload), status);
    ck_assert_str_eq(error.message, message);
    ck_assert_uint_eq(receiver.received, before);
    ck_assert(!receiver.complete);
}

START_TEST(what_does_not_continue_is_refused)
{
    struct trib_chunk chunk = chunk_at(PIECE, PIECE);
    expect_refused(&chunk, blob, TRIB_PROTOCOL, "the first chunk lacks the blob's hash and length");
    take_well(0, PIECE);
    chunk = chunk_at(0, PIECE);
    expect_refused(&chunk, blob, TRIB_PROTOCOL, "chunk at offset 0, expected 300"); /* replayed */
    chunk = chunk_at(PIECE + 1, PIECE);
    expect_refused(&chunk, blob + PIECE + 1, TRIB_PROTOCOL, "chunk at offset 301, expected 300"); /* a gap */
    chunk = chunk_at(PIECE, PIECE);
    chunk.payload_len = BLOB_LEN;
    expect_refused(&chunk, blob, TRIB_LIMIT, "chunk runs past the end of the blob of 1000 bytes");
    chunk = chunk_at(PIECE, PIECE);
    chunk.payload_len = SIZE_MAX;
    ck_assert_int_eq(trib_chunk_receiver_begin(&receiver, &chunk, &error), TRIB_LIMIT);
    chunk = chunk_at(PIECE, 0);
    expect_refused(&chunk, blob, TRIB_PROTOCOL, "empty chunk at offset 300");
    chunk = chunk_at(PIECE, PIECE);
    chunk.has_sha256 = true;
    expect_refused(&chunk, blob, TRIB_MISMATCH, "the chunk belongs to another blob");
    chunk = chunk_at(PIECE, PIECE);
    chunk.blob_len = BLOB_LEN + 1;
    expect_refused(&chunk, blob, TRIB_MISMATCH, "blob length is 1001, expected 1000");
    take_well(PIECE, BLOB_LEN - PIECE);
    ck_assert(receiver.complete);
}
END_TEST

START_TEST(a_wrong_checksum_is_refused)
{
    struct trib_chunk chunk = chunk_at(0, PIECE);
    char expected[128];
    snprintf(expected, sizeof expected, "chunk at offset 0: checksum is %08" PRIx32 ", expected %08" PRIx32,
             chunk.crc32c, chunk.crc32c ^ 1);
    chunk.crc32c ^= 1;
    expect_refused(&chunk, blob, TRIB_CORRUPT, expected);
}
END_TEST

START_TEST(an_early_end_is_refused)
{
    struct trib_chunk chunk = chunk_at(0, PIECE);
    chunk.last = true;
    expect_refused(&chunk, blob, TRIB_CORRUPT, "the last chunk ends at byte 300 of 1000");
}
END_TEST

START_TEST(another_content_is_refused)
{
    static uint8_t other[BLOB_LEN];
    struct trib_chunk chunk = chunk_at(0, BLOB_LEN);
    memcpy(other, blob, BLOB_LEN);
    other[999] ^= 1;
    chunk.crc32c = trib_crc32c(0, other, BLOB_LEN);
    ck_assert_int_eq(take(&chunk, other), TRIB_CORRUPT);
    ck_assert_str_eq(error.message, "the blob's SHA-256 is not the one that was announced");
    ck_assert(!receiver.complete);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chunk");
    TCase *parser = tcase_create("parser");
    tcase_set_timeout(parser, 120);
    tcase_add_test(parser, what_is_written_is_read);
    tcase_add_test(parser, protobuf_reads_and_writes_the_same_bytes);
    tcase_add_test(parser, every_cut_of_the_head_is_refused);
    tcase_add_test(parser, unknown_fields_are_skipped);
    tcase_add_test(parser, malformed_fields_are_refused);
    tcase_add_test(parser, a_payload_above_the_limit_is_refused);
    tcase_add_test(parser, the_head_must_fit_into_what_is_gathered);
    suite_add_tcase(suite, parser);
    TCase *receiving = tcase_create("receiver");
    tcase_set_timeout(receiving, 120);
    tcase_add_checked_fixture(receiving, begin_blob, end_blob);
    tcase_add_test(receiving, a_blob_arrives_in_order);
    tcase_add_test(receiving, an_empty_last_chunk_may_end_it);
    tcase_add_test(receiving, what_does_not_continue_is_refused);
    tcase_add_test(receiving, a_wrong_checksum_is_refused);
    tcase_add_test(receiving, an_early_end_is_refused);
    tcase_add_test(receiving, another_content_is_refused);
    suite_add_tcase(suite, receiving);
    return trib_test_run(suite);
}
