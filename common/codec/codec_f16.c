/* f16: IEEE half precision, nearest even. Relative error at most 2^-11, absolute at most 2^-25 below 2^-14. Magnitudes
 * from 65520 up are refused, never saturated: a clipped update would be wrong without anyone knowing. */
#include "codec_table.h"

#include "codec/half.h"

static size_t bound(size_t n)
{
    return n * sizeof(uint16_t);
}

static enum trib_status encode(const struct trib_codec_context *context, const float *from, size_t n, uint8_t *to,
                               size_t capacity, size_t *len)
{
    (void)context;
    if (capacity < bound(n)) {
        return TRIB_LIMIT;
    }
    if (!trib_half_pack(from, n, to)) {
        return TRIB_NOT_FINITE;
    }
    *len = bound(n);
    return TRIB_OK;
}

static enum trib_status decode(const struct trib_codec_context *context, const uint8_t *from, size_t len, float *to,
                               size_t n)
{
    (void)context;
    if (len != bound(n)) {
        return TRIB_CORRUPT;
    }
    return trib_half_unpack(from, n, to) ? TRIB_OK : TRIB_NOT_FINITE;
}

const struct trib_codec trib_codec_f16 = {
    .name = "f16",
    .id = TRIB_CODEC_ID_f16,
    .caps = TRIB_CODEC_FIXED_LENGTH,
    .help = "16-bit floats (IEEE half); 2 bytes a value, magnitudes below 65520",
    .bound = bound,
    .encode = encode,
    .decode = decode,
};
