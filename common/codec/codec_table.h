/* What codec_list.def says, for the files that define the tables and the one that lists them: their ids and names. */
#ifndef TRIB_CODEC_TABLE_H
#define TRIB_CODEC_TABLE_H

#include "codec/codec.h"

enum trib_codec_id {
#define TRIB_CODEC_ROW(codec, number) TRIB_CODEC_ID_##codec = (number),
#include "codec_list.def"
#undef TRIB_CODEC_ROW
};

#define TRIB_CODEC_ROW(codec, number) extern const struct trib_codec trib_codec_##codec;
#include "codec_list.def"
#undef TRIB_CODEC_ROW

#endif
