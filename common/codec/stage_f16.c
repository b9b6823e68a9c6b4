/* f16 is IEEE half precision, nearest even. Relative error at most 2^-11, absolute at most 2^-25 below 2^-14.
 * Magnitudes from 65520 up are refused, never saturated: a clipped update would be wrong without anyone knowing. */
#include "stage_table.h"

#include "codec/half.h"

const struct trib_stage trib_stage_f16 = {
    .name = "f16",
    .id = TRIB_STAGE_ID_f16,
    .kind = TRIB_STAGE_QUANTIZE,
    .caps = TRIB_CODEC_FIXED_LENGTH,
    .help = "16-bit floats (IEEE half); 2 bytes a value, magnitudes below 65520",
    .width = 2,
    .pack = trib_half_pack,
    .unpack = trib_half_unpack,
};
