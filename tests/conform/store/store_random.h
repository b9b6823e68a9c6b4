/* Random records of any table, from few enough keys that they meet, with values at the edges of their kinds; and a
 * store's whole content as bytes, by which two of them are compared. */
#ifndef TRIB_TEST_STORE_RANDOM_H
#define TRIB_TEST_STORE_RANDOM_H

#include "store/store.h"

#include "base/buf.h"
#include "base/rng.h"

#include <check.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Room for a record of any table; checked where it is used. */
struct random_record {
    _Alignas(16) uint8_t data[2048];
};

static uint8_t random_bytes[6000]; /* what BYTES columns point to */

static inline uint64_t random_int(struct trib_rng *rng, bool key)
{
    static const uint64_t edges[] = {0, 1, 127, 128, 255, 65535, UINT32_MAX, INT64_MAX - 1, INT64_MAX};
    if (key) {
        return trib_rng_below(rng, 12) == 0 ? INT64_MAX : trib_rng_below(rng, 6);
    }
    return trib_rng_below(rng, 3) == 0 ? edges[trib_rng_below(rng, sizeof edges / sizeof edges[0])]
                                       : trib_rng_u64(rng) >> (1 + trib_rng_below(rng, 63));
}

static inline double random_real(struct trib_rng *rng)
{
    static const double edges[] = {0, -0.0, 1, -1, 0.1, 5e-324, DBL_MAX, -DBL_MAX, 9007199254740993.0, 1e18, -1e300};
    switch (trib_rng_below(rng, 6)) {
    case 0:
        return NAN;
    case 1:
        return trib_rng_below(rng, 2) ? INFINITY : -INFINITY;
    case 2:
        return edges[trib_rng_below(rng, sizeof edges / sizeof edges[0])];
    default:
        return trib_rng_normal(rng);
    }
}

/* Names of which some begin others, with bytes below and above the letters, and empty. */
static inline void random_text(struct trib_rng *rng, bool key, size_t room, char *to)
{
    static const char *const names[] = {"a",     "ab", "b", "", "A", "\x01", "\xff\xfe", "a b", "\xc3\xa9t\xc3\xa9",
                                        "'\";--"};
    size_t which = trib_rng_below(rng, sizeof names / sizeof names[0]);
    memset(to, 0xaa, room); /* what is behind the end is nobody's business */
    if (!key && trib_rng_below(rng, 3) == 0) {
        size_t len = trib_rng_below(rng, room);
        for (size_t i = 0; i < len; i++) {
            to[i] = (char)(1 + trib_rng_below(rng, 255));
        }
        to[len] = 0;
    } else if (key && trib_rng_below(rng, 10) == 0) {
        to[room - 1] = 0; /* the longest */
    } else {
        memcpy(to, names[which], strlen(names[which]) + 1);
    }
}

static inline void random_value(struct trib_rng *rng, const struct trib_store_column *column, uint8_t *to)
{
    static const size_t lens[] = {0, 1, 31, 300, 1500, sizeof random_bytes};
    uint64_t integer = random_int(rng, column->key);
    double real = random_real(rng);
    struct trib_store_bytes bytes = {.data = random_bytes,
                                     .len = lens[trib_rng_below(rng, sizeof lens / sizeof *lens)]};
    switch (column->kind) {
    case TRIB_STORE_KIND_TIME:
        integer = trib_rng_below(rng, 2) ? integer : (uint64_t) - (int64_t)integer;
        memcpy(to, &integer, sizeof integer);
        break;
    case TRIB_STORE_KIND_INT:
        memcpy(to, &integer, sizeof integer);
        break;
    case TRIB_STORE_KIND_REAL:
        memcpy(to, &real, sizeof real);
        break;
    case TRIB_STORE_KIND_NODE:
        random_text(rng, column->key, TRIB_STORE_NODE_LEN, (char *)to);
        break;
    case TRIB_STORE_KIND_RUN:
        random_text(rng, column->key, TRIB_STORE_RUN_LEN, (char *)to);
        break;
    case TRIB_STORE_KIND_TEXT:
        random_text(rng, column->key, TRIB_STORE_TEXT_LEN, (char *)to);
        break;
    case TRIB_STORE_KIND_HASH:
        for (size_t i = 0; i < TRIB_STORE_HASH_LEN; i++) {
            to[i] = (uint8_t)trib_rng_u32(rng);
        }
        break;
    case TRIB_STORE_KIND_BYTES:
        for (size_t i = 0; i < 16; i++) {
            random_bytes[trib_rng_below(rng, sizeof random_bytes)] = (uint8_t)trib_rng_u32(rng);
        }
        bytes = trib_rng_below(rng, 4) ? bytes : (struct trib_store_bytes){0};
        memcpy(to, &bytes, sizeof bytes);
        break;
    }
}

static inline void random_fill(struct trib_rng *rng, enum trib_store_table_id table, struct random_record *record)
{
    const struct trib_store_layout *layout = trib_store_layout(table);
    ck_assert_uint_le(layout->record_size, sizeof record->data);
    memset(record, 0x55, sizeof *record);
    for (size_t i = 0; i < layout->n_columns; i++) {
        random_value(rng, &layout->columns[i], record->data + layout->columns[i].offset);
    }
}

/* ---- comparing ---- */

struct random_dump {
    struct trib_buf text;
    enum trib_store_table_id table;
};

static inline void dump_add(struct trib_buf *text, const void *bytes, size_t len)
{
    if (trib_buf_add(text, bytes, len) != TRIB_OK) {
        ck_abort_msg("out of memory");
    }
}

/* A column, its length before it where that is not the kind's. All nan are one, and so are both zeros. */
static inline void dump_value(struct trib_buf *text, const struct trib_store_column *column, const uint8_t *from)
{
    struct trib_store_bytes bytes;
    double real;
    uint64_t len = 0;
    switch (column->kind) {
    case TRIB_STORE_KIND_NODE:
    case TRIB_STORE_KIND_RUN:
    case TRIB_STORE_KIND_TEXT:
        dump_add(text, from, strlen((const char *)from) + 1);
        break;
    case TRIB_STORE_KIND_HASH:
        dump_add(text, from, TRIB_STORE_HASH_LEN);
        break;
    case TRIB_STORE_KIND_REAL:
        memcpy(&real, from, sizeof real);
        real = isnan(real) ? (double)NAN : real;
        dump_add(text, &real, sizeof real);
        break;
    case TRIB_STORE_KIND_BYTES:
        memcpy(&bytes, from, sizeof bytes);
        len = bytes.data ? bytes.len : UINT64_MAX;
        dump_add(text, &len, sizeof len);
        dump_add(text, bytes.data, bytes.len);
        break;
    default:
        dump_add(text, from, sizeof(uint64_t));
        break;
    }
}

static inline enum trib_status dump_record(void *context, const void *record, struct trib_error *error)
{
    struct random_dump *dump = context;
    const struct trib_store_layout *layout = trib_store_layout(dump->table);
    (void)error;
    for (size_t i = 0; i < layout->n_columns; i++) {
        dump_value(&dump->text, &layout->columns[i], (const uint8_t *)record + layout->columns[i].offset);
    }
    return TRIB_OK;
}

/* The records of one table that begin with the keys, or of all tables. */
static inline struct trib_buf dump_keys(struct trib_store *store, enum trib_store_table_id table, const void *record,
                                        size_t n_keys)
{
    struct trib_error error = {0};
    struct random_dump dump = {.table = table};
    ck_assert_msg(trib_store_each(store, table, record, n_keys, dump_record, &dump, &error) == TRIB_OK, "%s",
                  error.message);
    return dump.text;
}

static inline struct trib_buf dump_all(struct trib_store *store)
{
    struct trib_buf all = {0};
    for (size_t t = 0; t < TRIB_STORE_TABLES; t++) {
        uint64_t mark = t;
        struct trib_buf one = dump_keys(store, (enum trib_store_table_id)t, NULL, 0);
        dump_add(&all, &mark, sizeof mark);
        dump_add(&all, one.data, one.len);
        trib_buf_clear(&one);
    }
    return all;
}

static inline bool dump_equal(const struct trib_buf *a, const struct trib_buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

#endif
