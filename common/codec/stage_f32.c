/* f32 is the floats themselves, little-endian. Lossless. */
#include "finite.h"
#include "stage_table.h"

#include <string.h>

static bool pack(const float *from, size_t n, uint8_t *to)
{
    memcpy(to, from, n * sizeof *from);
    return trib_all_finite(from, n);
}

static bool unpack(const uint8_t *from, size_t n, float *to)
{
    memcpy(to, from, n * sizeof *to);
    return trib_all_finite(to, n);
}

const struct trib_stage trib_stage_f32 = {
    .name = "f32",
    .id = TRIB_STAGE_ID_f32,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_FIXED_LENGTH | TRIB_CODEC_LOSSLESS,
    .help = "32-bit floats as they are; 4 bytes a value",
    .width = 4,
    .pack = pack,
    .unpack = unpack,
};
