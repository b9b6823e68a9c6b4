/* bf16 is the upper half of a float (1 sign, 8 exponent, 7 fraction bits), nearest even. Relative error at most 2^-8
 * down to the subnormals, with float32's range. Magnitudes that would round up to infinity are refused. */
#include "stage_table.h"

#include "base/clones.h"

#include <string.h>

TRIB_CLONES static bool pack(const float *from, size_t n, uint8_t *to)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        uint16_t upper = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
        bad |= (bits & 0x7f800000) == 0x7f800000; /* before the carry: a nan must not wrap */
        bad |= (upper & 0x7f80) == 0x7f80;
        memcpy(to + i * sizeof upper, &upper, sizeof upper);
    }
    return bad == 0;
}

TRIB_CLONES static bool unpack(const uint8_t *from, size_t n, float *to)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t upper;
        memcpy(&upper, from + i * sizeof upper, sizeof upper);
        uint32_t bits = (uint32_t)upper << 16;
        bad |= (upper & 0x7f80) == 0x7f80;
        memcpy(&to[i], &bits, sizeof bits);
    }
    return bad == 0;
}

const struct trib_stage trib_stage_bf16 = {
    .name = "bf16",
    .id = TRIB_STAGE_ID_bf16,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_FIXED_LENGTH,
    .help = "16-bit floats (bfloat16); 2 bytes a value, float32's range, 8 bits of precision",
    .width = 2,
    .pack = pack,
    .unpack = unpack,
};
