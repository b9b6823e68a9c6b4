/* Bits are written and read here, and positions made into gaps and back. */
#include "gaps.h"

/* ---- bits ---- */

void trib_bit_put(struct trib_bit_writer *bits, uint32_t value, unsigned n)
{
    bits->n += n;
    if (!bits->out) {
        return;
    }
    bits->word |= (uint64_t)value << bits->held;
    bits->held += n;
    while (bits->held >= 8) {
        trib_write_u8(bits->out, (uint8_t)bits->word);
        bits->word >>= 8;
        bits->held -= 8;
    }
}

void trib_bit_put_gamma(struct trib_bit_writer *bits, uint32_t value)
{
    unsigned length = trib_bit_length(value + 1);
    trib_bit_put(bits, UINT32_C(1) << (length - 1), length);
    trib_bit_put(bits, value + 1 - (UINT32_C(1) << (length - 1)), length - 1);
}

void trib_bit_end(struct trib_bit_writer *bits)
{
    if (bits->held > 0) {
        trib_bit_put(bits, 0, 8 - bits->held);
    }
}

uint32_t trib_bit_get(struct trib_bit_reader *bits, unsigned n)
{
    while (bits->held < n) {
        bits->word |= (uint64_t)trib_read_u8(bits->in) << bits->held;
        bits->held += 8;
    }
    uint32_t value = (uint32_t)(bits->word & ((UINT64_C(1) << n) - 1));
    bits->word >>= n;
    bits->held -= n;
    return bits->in->failed ? 0 : value;
}

uint32_t trib_bit_get_gamma(struct trib_bit_reader *bits)
{
    unsigned length = 1;
    while (length <= 31 && trib_bit_get(bits, 1) == 0) {
        length++;
    }
    if (length > 31) {
        bits->in->failed = true;
        return 0;
    }
    return (UINT32_C(1) << (length - 1) | trib_bit_get(bits, length - 1)) - 1;
}

bool trib_bit_close(const struct trib_bit_reader *bits)
{
    return !bits->in->failed && bits->word == 0;
}

/* ---- positions ---- */

void trib_gaps_from_positions(const struct trib_block *block, uint16_t *gaps)
{
    uint32_t next = 0;
    for (size_t i = 0; i < block->n_values; i++) {
        gaps[i] = (uint16_t)(block->positions[i] - next);
        next = block->positions[i] + 1;
    }
}

enum trib_status trib_gaps_to_positions(struct trib_block *block, const uint16_t *gaps)
{
    uint32_t next = 0;
    for (size_t i = 0; i < block->n_values; i++) {
        uint32_t position = next + gaps[i];
        if (position >= block->n) {
            return TRIB_CORRUPT;
        }
        block->positions[i] = position;
        next = position + 1;
    }
    return TRIB_OK;
}
