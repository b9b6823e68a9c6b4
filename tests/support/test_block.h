/* Blocks with buffers of their own, for tests of stages that come last in a chain: a block goes through a stage, comes
 * back from exactly its bytes, and is the same. */
#ifndef TRIB_TEST_BLOCK_H
#define TRIB_TEST_BLOCK_H

#include "codec/stage.h"

#include "base/mem.h"

#include <check.h>
#include <string.h>

enum { TEST_BLOCK_ROOM = 8 * TRIB_CODEC_BLOCK };

/* An empty dense block; each buffer is an allocation of its own, so that sanitizers see what leaves it. */
static inline struct trib_block test_block_new(void)
{
    struct trib_block block = {
        .n = TRIB_CODEC_BLOCK,
        .values = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof(float)),
        .positions = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof(uint32_t)),
        .symbols = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof(uint16_t)),
        .numbers = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof(float)),
        .scratch = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof(float)),
    };
    ck_assert(block.values && block.positions && block.symbols && block.numbers && block.scratch);
    return block;
}

static inline void test_block_free(struct trib_block *block)
{
    trib_free(block->values);
    trib_free(block->positions);
    trib_free(block->symbols);
    trib_free(block->numbers);
    trib_free(block->scratch);
}

/* `room` gets the shape of `block`, what a decoder knows before the last stage; its content is poison. */
static inline void test_block_shape(struct trib_block *room, const struct trib_block *block)
{
    struct trib_block shaped = *block;
    shaped.values = room->values;
    shaped.positions = room->positions;
    shaped.symbols = room->symbols;
    shaped.numbers = room->numbers;
    shaped.scratch = room->scratch;
    *room = shaped;
    memset(room->positions, 0xff, block->n_values * sizeof *room->positions);
    memset(room->symbols, 0xff, block->n_symbols * sizeof *room->symbols);
    memset(room->numbers, 0xff, block->n_values * sizeof(float));
}

static inline void test_block_copy(struct trib_block *room, const struct trib_block *block)
{
    test_block_shape(room, block);
    memcpy(room->positions, block->positions, block->n_values * sizeof *room->positions);
    memcpy(room->symbols, block->symbols, block->n_symbols * sizeof *room->symbols);
    memcpy(room->numbers, block->numbers, block->n_values * sizeof(float));
}

static inline bool test_block_sends_positions(const struct trib_block *block)
{
    return block->sparse && !block->derived;
}

static inline void test_block_equal(const struct trib_block *a, const struct trib_block *b)
{
    if (test_block_sends_positions(a)) {
        ck_assert_int_eq(memcmp(a->positions, b->positions, a->n_values * sizeof *a->positions), 0);
    }
    if (a->alphabet == 0) {
        ck_assert_int_eq(memcmp(a->numbers, b->numbers, a->n_values * a->width), 0);
    } else {
        ck_assert_int_eq(memcmp(a->symbols, b->symbols, a->n_symbols * sizeof *a->symbols), 0);
    }
}

/* What every decoded block is, whatever its bytes were. */
static inline void test_block_sane(const struct trib_block *block)
{
    for (size_t i = 0; test_block_sends_positions(block) && i < block->n_values; i++) {
        if (block->positions[i] >= block->n || (i > 0 && block->positions[i] <= block->positions[i - 1])) {
            ck_abort_msg("position %zu is %u", i, (unsigned)block->positions[i]);
        }
    }
    for (size_t i = 0; block->alphabet > 0 && i < block->n_symbols; i++) {
        if (block->symbols[i] >= block->alphabet) {
            ck_abort_msg("symbol %zu is %u of %u", i, block->symbols[i], (unsigned)block->alphabet);
        }
    }
}

/* Encodes a copy of `block`, in `room`, into bytes[TEST_BLOCK_ROOM]: their length. */
static inline size_t test_block_encode(const struct trib_stage_use *use, const struct trib_block *block,
                                       struct trib_block *room, uint8_t *bytes)
{
    struct trib_writer out = {.data = bytes, .capacity = TEST_BLOCK_ROOM};
    test_block_copy(room, block);
    ck_assert_int_eq(use->stage->encode(use, NULL, room, &out), TRIB_OK);
    ck_assert(!out.full);
    return out.len;
}

/* Decodes `len` bytes, which nothing readable follows, into `room`. TRIB_CORRUPT when some are left. */
static inline enum trib_status test_block_open(const struct trib_stage *stage, const struct trib_block *block,
                                               struct trib_block *room, const uint8_t *bytes, size_t len)
{
    uint8_t *exact = trib_malloc(len);
    ck_assert(exact);
    if (len > 0) {
        memcpy(exact, bytes, len);
    }
    union trib_stage_memory memory;
    struct trib_reader in = {.data = exact, .len = len};
    test_block_shape(room, block);
    enum trib_status status = stage->open(room, &in, &memory);
    trib_free(exact);
    return status == TRIB_OK && (in.failed || in.at != in.len) ? TRIB_CORRUPT : status;
}

/* There and back, with room for exactly the bytes, and refused with a byte less: their length. */
static inline size_t test_block_round_trip(const struct trib_stage_use *use, const struct trib_block *block,
                                           struct trib_block *room, uint8_t *bytes)
{
    size_t len = test_block_encode(use, block, room, bytes);
    ck_assert_int_eq(test_block_open(use->stage, block, room, bytes, len), TRIB_OK);
    test_block_equal(block, room);
    for (size_t cut = 0; cut < 2 && cut <= len; cut++) {
        uint8_t *exact = trib_malloc(len - cut);
        ck_assert(exact);
        struct trib_writer out = {.data = exact, .capacity = len - cut};
        test_block_copy(room, block);
        ck_assert_int_eq(use->stage->encode(use, NULL, room, &out), TRIB_OK);
        ck_assert_int_eq(out.full, cut == 1);
        ck_assert(cut == 1 || len == 0 || (out.len == len && memcmp(exact, bytes, len) == 0));
        trib_free(exact);
    }
    return len;
}

#endif
