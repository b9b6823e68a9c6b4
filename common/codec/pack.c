/* Symbols are packed by joining: neighbours are joined pair by pair into words while these fit in 16 bits, by loops
 * that vectorise; what is left to be packed one by one is few words, or none. */
#include "pack.h"

#include "base/clones.h"

#include <string.h>

enum { WORD = 16, RUN = 1024 /* symbols joined at a time, in the first level cache; whole bytes at any width */ };

unsigned trib_bits_of(uint32_t alphabet)
{
    unsigned bits = 0;
    while (alphabet > UINT32_C(1) << bits) {
        bits++;
    }
    return bits;
}

size_t trib_bits_len(size_t n, uint32_t alphabet)
{
    return (n * trib_bits_of(alphabet) + 7) / 8;
}

/* n words of twice the width from 2n of `bits`, and back. */
TRIB_CLONES static void join(const uint16_t *restrict from, size_t n, unsigned bits, uint16_t *restrict to)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint16_t)(from[2 * i] | from[2 * i + 1] << bits);
    }
}

TRIB_CLONES static void split(const uint16_t *restrict from, size_t n, unsigned bits, uint16_t *restrict to)
{
    const uint16_t mask = (uint16_t)((1u << bits) - 1);
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = from[i] & mask;
        to[2 * i + 1] = (uint16_t)(from[i] >> bits);
    }
}

static void pack_words(const uint16_t *words, size_t n, unsigned bits, uint8_t *to)
{
    unsigned held = 0;
    uint64_t word = 0;
    if (bits == WORD) {
        memcpy(to, words, n * sizeof *words);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        word |= (uint64_t)words[i] << held;
        held += bits;
        if (held >= 32) {
            uint32_t whole = (uint32_t)word;
            memcpy(to, &whole, sizeof whole);
            to += sizeof whole;
            word >>= 32;
            held -= 32;
        }
    }
    for (; held > 0; held -= held < 8 ? held : 8) {
        *to++ = (uint8_t)word;
        word >>= 8;
    }
}

/* False when the bits behind the last word are not 0. */
static bool unpack_words(const uint8_t *from, size_t n, unsigned bits, uint16_t *words)
{
    const uint32_t mask = (UINT32_C(1) << bits) - 1;
    const size_t len = (n * bits + 7) / 8;
    uint32_t group;
    size_t i = 0;
    if (bits == WORD) {
        memcpy(words, from, n * sizeof *words);
        return true;
    }
    for (; i < n && i * bits / 8 + sizeof group <= len; i++) {
        memcpy(&group, from + i * bits / 8, sizeof group);
        words[i] = (uint16_t)(group >> i * bits % 8 & mask);
    }
    for (; i < n; i++) {
        group = 0;
        for (size_t byte = i * bits / 8; byte < len; byte++) {
            group |= (uint32_t)from[byte] << 8 * (byte - i * bits / 8);
        }
        words[i] = (uint16_t)(group >> i * bits % 8 & mask);
    }
    return n * bits % 8 == 0 || from[len - 1] >> n * bits % 8 == 0;
}

static void pack_run(const uint16_t *symbols, unsigned bits, uint8_t *to)
{
    uint16_t joined[2][RUN / 2];
    const uint16_t *at = symbols;
    size_t n = RUN;
    for (unsigned turn = 0; bits * 2 <= WORD; turn ^= 1) {
        n /= 2;
        join(at, n, bits, joined[turn]);
        at = joined[turn];
        bits *= 2;
    }
    pack_words(at, n, bits, to);
}

static void unpack_run(const uint8_t *from, unsigned bits, uint16_t *symbols)
{
    uint16_t joined[2][RUN / 2];
    size_t n = RUN;
    unsigned width = bits, turn = 0;
    for (; width * 2 <= WORD; width *= 2) {
        n /= 2;
    }
    uint16_t *at = n == RUN ? symbols : joined[turn];
    (void)unpack_words(from, n, width, at); /* ends with a byte: nothing is left over */
    while (n < RUN) {
        turn ^= 1;
        uint16_t *next = n * 2 == RUN ? symbols : joined[turn];
        width /= 2;
        split(at, n, width, next);
        at = next;
        n *= 2;
    }
}

TRIB_CLONES static uint16_t largest_of(const uint16_t *symbols, size_t n)
{
    uint16_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = symbols[i] > largest ? symbols[i] : largest;
    }
    return largest;
}

void trib_bits_pack(const uint16_t *symbols, size_t n, uint32_t alphabet, uint8_t *to)
{
    unsigned bits = trib_bits_of(alphabet);
    if (bits == 0) {
        return;
    }
    for (; n >= RUN; n -= RUN, symbols += RUN, to += bits * RUN / 8) {
        pack_run(symbols, bits, to);
    }
    pack_words(symbols, n, bits, to);
}

bool trib_bits_unpack(const uint8_t *from, size_t n, uint32_t alphabet, uint16_t *symbols)
{
    unsigned bits = trib_bits_of(alphabet);
    if (bits == 0) {
        memset(symbols, 0, n * sizeof *symbols);
        return true;
    }
    size_t whole = n / RUN * RUN;
    for (size_t i = 0; i < whole; i += RUN) {
        unpack_run(from + i * bits / 8, bits, symbols + i);
    }
    bool ends = unpack_words(from + whole * bits / 8, n - whole, bits, symbols + whole);
    return ends && (alphabet == UINT32_C(1) << bits || largest_of(symbols, n) < alphabet);
}

/* ---- positions ---- */

static bool as_bitmap(const struct trib_block *block)
{
    return block->n_values * 2 > (block->n + 7) / 8;
}

static void pack_positions(const struct trib_block *block, struct trib_writer *out)
{
    if (!as_bitmap(block)) {
        uint8_t *room = trib_write_room(out, block->n_values * 2);
        for (size_t i = 0; room && i < block->n_values; i++) {
            trib_store_u16(room + i * 2, (uint16_t)block->positions[i]);
        }
        return;
    }
    size_t len = (block->n + 7) / 8;
    uint8_t *room = trib_write_room(out, len);
    if (room) {
        memset(room, 0, len);
        for (size_t i = 0; i < block->n_values; i++) {
            room[block->positions[i] / 8] |= (uint8_t)(1u << block->positions[i] % 8);
        }
    }
}

static enum trib_status unpack_list(struct trib_block *block, struct trib_reader *in)
{
    const uint8_t *bytes = trib_read_bytes(in, block->n_values * 2);
    if (in->failed) {
        return TRIB_CORRUPT;
    }
    for (size_t i = 0; i < block->n_values; i++) {
        uint32_t position = trib_load_u16(bytes + i * 2);
        if (position >= block->n || (i > 0 && position <= block->positions[i - 1])) {
            return TRIB_CORRUPT;
        }
        block->positions[i] = position;
    }
    return TRIB_OK;
}

static enum trib_status unpack_bitmap(struct trib_block *block, struct trib_reader *in)
{
    size_t len = (block->n + 7) / 8, found = 0;
    const uint8_t *bytes = trib_read_bytes(in, len);
    if (in->failed) {
        return TRIB_CORRUPT;
    }
    for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, len - at < sizeof word ? len - at : sizeof word);
        for (; word != 0; word &= word - 1) {
            size_t position = at * 8 + (size_t)__builtin_ctzll(word);
            if (position >= block->n || found == block->n_values) {
                return TRIB_CORRUPT;
            }
            block->positions[found++] = (uint32_t)position;
        }
    }
    return found == block->n_values ? TRIB_OK : TRIB_CORRUPT;
}

/* ---- a block ---- */

void trib_pack_block(struct trib_block *block, struct trib_writer *out)
{
    if (block->sparse && !block->derived) {
        pack_positions(block, out);
    }
    if (block->alphabet == 0) {
        trib_write_bytes(out, block->numbers, block->n_values * block->width);
        return;
    }
    uint8_t *room = trib_write_room(out, trib_bits_len(block->n_symbols, block->alphabet));
    if (room) {
        trib_bits_pack(block->symbols, block->n_symbols, block->alphabet, room);
    }
}

enum trib_status trib_unpack_block(struct trib_block *block, struct trib_reader *in)
{
    if (block->sparse && !block->derived) {
        TRIB_TRY(as_bitmap(block) ? unpack_bitmap(block, in) : unpack_list(block, in));
    }
    size_t len =
        block->alphabet == 0 ? block->n_values * block->width : trib_bits_len(block->n_symbols, block->alphabet);
    const uint8_t *bytes = trib_read_bytes(in, len);
    if (in->failed) {
        return TRIB_CORRUPT;
    }
    if (block->alphabet == 0) {
        if (len > 0) {
            memcpy(block->numbers, bytes, len);
        }
        return TRIB_OK;
    }
    return trib_bits_unpack(bytes, block->n_symbols, block->alphabet, block->symbols) ? TRIB_OK : TRIB_CORRUPT;
}
