/* f32: the floats themselves, little-endian. Lossless. */
#include "codec_table.h"
#include "finite.h"

#include <string.h>

static size_t bound(size_t n)
{
    return n * sizeof(float);
}

static enum trib_status encode(const struct trib_codec_context *context, const float *from, size_t n, uint8_t *to,
                               size_t capacity, size_t *len)
{
    (void)context;
    if (capacity < bound(n)) {
        return TRIB_LIMIT;
    }
    if (!trib_all_finite(from, n)) {
        return TRIB_NOT_FINITE;
    }
    memcpy(to, from, bound(n));
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
    memcpy(to, from, len);
    return trib_all_finite(to, n) ? TRIB_OK : TRIB_NOT_FINITE;
}

const struct trib_codec trib_codec_f32 = {
    .name = "f32",
    .id = TRIB_CODEC_ID_f32,
    .caps = TRIB_CODEC_UNBIASED | TRIB_CODEC_FIXED_LENGTH | TRIB_CODEC_LOSSLESS,
    .help = "32-bit floats as they are; 4 bytes a value",
    .bound = bound,
    .encode = encode,
    .decode = decode,
};
