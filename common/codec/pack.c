/* Bit packing, in 64-bit words. */
#include "pack.h"

#include <string.h>

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

void trib_bits_pack(const uint16_t *symbols, size_t n, uint32_t alphabet, uint8_t *to)
{
    unsigned bits = trib_bits_of(alphabet), held = 0;
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++) {
        word |= (uint64_t)symbols[i] << held;
        held += bits;
        while (held >= 8) {
            *to++ = (uint8_t)word;
            word >>= 8;
            held -= 8;
        }
    }
    if (held > 0) {
        *to = (uint8_t)word;
    }
}

bool trib_bits_unpack(const uint8_t *from, size_t n, uint32_t alphabet, uint16_t *symbols)
{
    unsigned bits = trib_bits_of(alphabet), held = 0;
    uint64_t word = 0;
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        while (held < bits) {
            word |= (uint64_t)*from++ << held;
            held += 8;
        }
        symbols[i] = (uint16_t)(word & ((UINT64_C(1) << bits) - 1));
        largest = symbols[i] > largest ? symbols[i] : largest;
        word >>= bits;
        held -= bits;
    }
    return word == 0 && largest < alphabet;
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
        for (size_t i = 0; room != NULL && i < block->n_values; i++) {
            trib_store_u16(room + i * 2, (uint16_t)block->positions[i]);
        }
        return;
    }
    size_t len = (block->n + 7) / 8;
    uint8_t *room = trib_write_room(out, len);
    if (room != NULL) {
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
    for (size_t i = 0; i < len * 8; i++) {
        if (bytes[i / 8] >> i % 8 & 1) {
            if (i >= block->n || found == block->n_values) {
                return TRIB_CORRUPT;
            }
            block->positions[found++] = (uint32_t)i;
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
    if (room != NULL) {
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
