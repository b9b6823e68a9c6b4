/* The ids and names of stages, as stage_list.def says them, are for the files that define the tables and the one that
 * lists them. */
#ifndef TRIB_CODEC_STAGE_TABLE_H
#define TRIB_CODEC_STAGE_TABLE_H

#include "codec/stage.h"

enum trib_stage_id {
#define TRIB_STAGE_ROW(stage, number) TRIB_STAGE_ID_##stage = (number),
#include "stage_list.def"
#undef TRIB_STAGE_ROW
};

#define TRIB_STAGE_ROW(stage, number) extern const struct trib_stage trib_stage_##stage;
#include "stage_list.def"
#undef TRIB_STAGE_ROW

#endif
