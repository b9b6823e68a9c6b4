/* The list of stages is looked up by position, name and id here; the writer that they share is below. */
#include "codec/stage.h"

#include "stage_table.h"

#include "base/str.h"

#include <math.h>
#include <string.h>

/* Frames store these numbers and floats as this machine does, so that they can be used in place. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames of floats are little-endian, used in place");
_Static_assert(sizeof(float) == 4, "a float is IEEE 754 binary32");

static const struct trib_stage *const stages[] = {
#define TRIB_STAGE_ROW(stage, number) &trib_stage_##stage,
#include "stage_list.def"
#undef TRIB_STAGE_ROW
};

/* Designated: a repeated id is an overridden initialiser, which the compiler refuses. */
static const struct trib_stage *const by_id[UINT8_MAX + 1] = {
#define TRIB_STAGE_ROW(stage, number) [(number)] = &trib_stage_##stage,
#include "stage_list.def"
#undef TRIB_STAGE_ROW
};

size_t trib_stages(const struct trib_stage *const **list)
{
    *list = stages;
    return sizeof stages / sizeof stages[0];
}

const struct trib_stage *trib_stage_find(const char *name)
{
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        if (trib_str_equal(stages[i]->name, name)) {
            return stages[i];
        }
    }
    return NULL;
}

const struct trib_stage *trib_stage_by_id(uint8_t id)
{
    return by_id[id];
}

/* ---- the writer ---- */

uint8_t *trib_write_room(struct trib_writer *writer, size_t len)
{
    if (writer->full || len > writer->capacity - writer->len) {
        writer->full = true;
        return NULL;
    }
    uint8_t *room = writer->data + writer->len;
    writer->len += len;
    return room;
}

void trib_write_bytes(struct trib_writer *writer, const void *bytes, size_t len)
{
    uint8_t *room = trib_write_room(writer, len);
    if (room && len > 0) {
        memcpy(room, bytes, len);
    }
}

void trib_write_u8(struct trib_writer *writer, uint8_t value)
{
    trib_write_bytes(writer, &value, sizeof value);
}

void trib_write_u16(struct trib_writer *writer, uint16_t value)
{
    uint8_t bytes[sizeof value];
    trib_store_u16(bytes, value);
    trib_write_bytes(writer, bytes, sizeof bytes);
}

void trib_write_u32(struct trib_writer *writer, uint32_t value)
{
    uint8_t bytes[sizeof value];
    trib_store_u32(bytes, value);
    trib_write_bytes(writer, bytes, sizeof bytes);
}

void trib_write_float(struct trib_writer *writer, float value)
{
    trib_write_bytes(writer, &value, sizeof value);
}

bool trib_read_float(struct trib_reader *reader, float *value)
{
    uint32_t bits = trib_read_u32(reader);
    memcpy(value, &bits, sizeof bits);
    return !reader->failed && isfinite(*value);
}
