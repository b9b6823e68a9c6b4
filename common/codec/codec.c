/* The list of codecs, by position, name and id. Any thread; nothing here changes after the program starts. */
#include "codec/codec.h"

#include "codec_table.h"

#include "base/str.h"

/* The frame format stores these numbers and floats as this machine does, so that they can be used in place. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames of floats are little-endian, used in place");
_Static_assert(sizeof(float) == 4, "a float is IEEE 754 binary32");

static const struct trib_codec *const codecs[] = {
#define TRIB_CODEC_ROW(codec, number) &trib_codec_##codec,
#include "codec_list.def"
#undef TRIB_CODEC_ROW
};

/* Designated: a repeated id is an overridden initialiser, which the compiler refuses. */
static const struct trib_codec *const by_id[UINT8_MAX + 1] = {
#define TRIB_CODEC_ROW(codec, number) [(number)] = &trib_codec_##codec,
#include "codec_list.def"
#undef TRIB_CODEC_ROW
};

size_t trib_codecs(const struct trib_codec *const **list)
{
    *list = codecs;
    return sizeof codecs / sizeof codecs[0];
}

const struct trib_codec *trib_codec_find(const char *name)
{
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
        if (trib_str_equal(codecs[i]->name, name)) {
            return codecs[i];
        }
    }
    return NULL;
}

const struct trib_codec *trib_codec_by_id(uint8_t id)
{
    return by_id[id];
}
