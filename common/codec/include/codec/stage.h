/* Stages are the links of a chain that makes a vector of floats (an update, a model) into bytes. Each is a const table;
 * stage_list.def lists them. codec/chain.h puts them together.
 *
 * A vector is cut into blocks of TRIB_CODEC_BLOCK elements (the last may be shorter), each coded on its own, so that a
 * decoder needs memory for one block only and blocks can be coded, decoded and folded in parallel. On its way a block
 * is
 *
 *     values --transform--> values --sparsify--> fewer values, positions --quantize--> symbols --entropy--> bytes
 *
 * and each stage may write a head (scales, counts) in front of the stream that the last one writes. A frame names its
 * stages by id only: whatever else a decoder must know stands in the heads, arguments are the encoder's business.
 *
 * Encoding and decoding keep no state and use no clock, thread or libm: the same input gives the same bytes and the
 * same floats on every machine, with any compiler and vector width. Any thread, any number at once. */
#ifndef TRIB_CODEC_STAGE_H
#define TRIB_CODEC_STAGE_H

#include "base/buf.h"

#include <stdbool.h>

enum { TRIB_CODEC_BLOCK = 65536 };

enum {
    TRIB_CODEC_UNBIASED = 1,     /* E[decode(encode(x))] = x, over the seed */
    TRIB_CODEC_ADDITIVE = 2,     /* with one seed, symbols of a sum of vectors are the sums of their symbols, but for
                                    rounding: what secure aggregation needs */
    TRIB_CODEC_FEEDBACK = 4,     /* biased: wants error feedback */
    TRIB_CODEC_FIXED_LENGTH = 8, /* encoded length depends on n and the arguments alone */
    TRIB_CODEC_LOSSLESS = 16,
    TRIB_CODEC_ISOMETRIC = 32 /* a transform that keeps lengths and angles */
};

enum trib_stage_kind { TRIB_STAGE_TRANSFORM, TRIB_STAGE_SPARSIFY, TRIB_STAGE_QUANTIZE, TRIB_STAGE_ENTROPY };

enum { TRIB_STAGE_ARGS = 4, TRIB_STAGE_USAGE = 64, TRIB_BLOCK_SEGMENTS = 4 };

/* A stage with its arguments, as a chain holds it. */
struct trib_stage_use {
    const struct trib_stage *stage;
    unsigned caps;                /* the stage's own, as its arguments make them */
    double args[TRIB_STAGE_ARGS]; /* in the order of the stage's rows: the number, the share, 1 for a word */
    bool entropy_follows;         /* the chain ends with an entropy coder: rates are of entropy, not of width */
    bool sparsified;              /* a sparsifier comes before */
    bool rotated;                 /* a rotation comes before: values look Gaussian, with one variance in a block */
};

/* ---- a block on its way ---- */

struct trib_block {
    uint64_t seed;   /* of (run, round, client) */
    uint64_t number; /* of the block in its vector */
    size_t n;        /* elements: 1 .. TRIB_CODEC_BLOCK */

    /* values[0 .. n_values) are what is left to be coded; n of them until a stage keeps fewer. */
    float *values; /* [n] */
    size_t n_values;
    /* sparse: values[i] belongs to element positions[i], ascending. The entropy stage codes the positions too, unless
     * both sides can derive them (`derived`). */
    bool sparse, derived;
    uint32_t *positions; /* [TRIB_CODEC_BLOCK] */

    /* What the quantiser leaves. Either n_symbols symbols, each below `alphabet`, of which each segment is coded with
     * statistics of its own (one segment unless the quantiser says otherwise; their lengths add up to n_symbols): */
    uint16_t *symbols; /* [TRIB_CODEC_BLOCK] */
    size_t n_symbols;
    uint32_t alphabet; /* 1 .. 65536; 0 = plain numbers instead */
    uint32_t segments[TRIB_BLOCK_SEGMENTS];
    unsigned n_segments;
    /* or n_values plain little-endian numbers, `width` bytes each (2 or 4): */
    uint8_t *numbers; /* [4 * TRIB_CODEC_BLOCK], 64-byte aligned */
    unsigned width;

    float *scratch; /* [TRIB_CODEC_BLOCK], 64-byte aligned: any stage's, for the length of a call */
};

/* A stage's memory is RAM for what its open finds in its head and its decode uses. */
union trib_stage_memory {
    double align;
    uint8_t bytes[128];
};

/* A writer is bounded: after the first write that does not fit, `full` stays true and nothing more is written. */
struct trib_writer {
    uint8_t *data;
    size_t capacity, len;
    bool full;
};
uint8_t *trib_write_room(struct trib_writer *writer, size_t len); /* len bytes to fill, NULL when they do not fit */
void trib_write_u8(struct trib_writer *writer, uint8_t value);
void trib_write_u16(struct trib_writer *writer, uint16_t value);
void trib_write_u32(struct trib_writer *writer, uint32_t value);
void trib_write_float(struct trib_writer *writer, float value);
void trib_write_bytes(struct trib_writer *writer, const void *bytes, size_t len);
/* trib_read_float reads beside trib_read_* of base/buf.h. False when the bytes are short or the float is not finite. */
bool trib_read_float(struct trib_reader *reader, float *value);

/* ---- what needs to see the whole vector first ---- */

/* A survey is told this of the vector before it begins. */
struct trib_survey_info {
    uint64_t n;        /* elements of the whole vector */
    uint32_t n_blocks; /* of it */
    uint64_t seed;
};
/* A survey is passes over all blocks, in order, on one thread, before the first block is encoded. Isometric transforms
 * are not run for a survey; sparsifiers before the stage are. */
struct trib_stage_survey {
    size_t state_size; /* zeroed before begin */
    unsigned passes;
    unsigned (*passes_for)(const struct trib_stage_use *use); /* NULL: always that many */
    enum trib_status (*begin)(const struct trib_stage_use *use, const struct trib_survey_info *info, void *state);
    void (*block)(const struct trib_stage_use *use, void *state, unsigned pass, const struct trib_block *block);
    void (*end)(const struct trib_stage_use *use, void *state, unsigned pass);
    void (*clear)(void *state); /* NULL: nothing to free */
};

/* ---- arguments ---- */

enum trib_stage_arg_kind {
    TRIB_STAGE_ARG_WHOLE,  /* a whole number, least .. most */
    TRIB_STAGE_ARG_NUMBER, /* any number, least .. most, with `unit` behind it or without */
    TRIB_STAGE_ARG_SHARE,  /* "1%", "1/400" or "0.01": above 0 and at most 1 */
    TRIB_STAGE_ARG_WORD    /* the name itself, or left out: 1 or 0 */
};

/* A row of a stage's arguments. Optional ones come last. */
struct trib_stage_arg {
    const char *name; /* as the usage shows it: BITS */
    enum trib_stage_arg_kind kind;
    bool optional;
    double least, most;         /* of numbers */
    double standard;            /* the value of an optional one that is left out */
    const char *unit;           /* "bit"; NULL: none */
    unsigned caps_on, caps_off; /* what a word changes in the use's caps */
    const char *what;           /* "a number of bits", for messages and help */
};

/* ---- a stage ---- */

struct trib_stage {
    const char *name;
    uint8_t id; /* in frames; never reused */
    enum trib_stage_kind kind;
    unsigned caps;
    const char *help;
    const struct trib_stage_arg *args; /* [n_args]; NULL: it takes none */
    unsigned n_args;
    const char *examples; /* "lloyd:2 or lloyd:1,unbiased", for messages; NULL: its usage says enough */
    /* check looks at what stands around the stage in a chain that was parsed (rotated, entropy_follows), after its
     * arguments: sets use->caps where that changes them. TRIB_INVALID with what it needs. NULL: it goes with
     * everything. */
    enum trib_status (*check)(struct trib_stage_use *use, struct trib_error *error);
    const struct trib_stage_survey *survey; /* NULL: it needs none */

    /* encode, of every kind but plain quantisers, takes the block one step on, and writes the head (an entropy stage:
     * everything) to `out`. `survey` is the state after the last pass, read only, NULL without one. TRIB_NOT_FINITE for
     * a value that cannot be carried. Whether `out` was too short is the caller's to see. */
    enum trib_status (*encode)(const struct trib_stage_use *use, const void *survey, struct trib_block *block,
                               struct trib_writer *out);
    /* Decoding comes in two parts. `open` in the order of encoding: read the head, check it, and say what the following
     * stages will find: a sparsifier n_values, a quantiser n_symbols, alphabet and segments; an entropy stage fills in
     * symbols (each below alphabet), numbers and positions (each below n, ascending). Pointers into the bytes may be
     * kept. TRIB_CORRUPT, TRIB_NOT_FINITE for what no encoder writes. */
    enum trib_status (*open)(struct trib_block *block, struct trib_reader *in, union trib_stage_memory *memory);
    /* decode, in reverse order, takes the block one step back. NULL for entropy stages. */
    enum trib_status (*decode)(struct trib_block *block, const union trib_stage_memory *memory);

    /* pack and unpack are for plain quantisers, instead of the three: a number of `width` bytes for each value. False:
     * not finite. */
    unsigned width;
    bool (*pack)(const float *from, size_t n, uint8_t *to);
    bool (*unpack)(const uint8_t *from, size_t n, float *to);
};

/* trib_stage_usage writes how the stage is written in a chain: "lloyd:BITS[,unbiased]". */
void trib_stage_usage(const struct trib_stage *stage, char text[TRIB_STAGE_USAGE]);
/* trib_stage_parse_args reads the n texts between commas into use->args, and makes use->caps what the words say;
 * use->stage and the stage's own caps are set before. TRIB_INVALID with what is possible; the caller puts the stage's
 * name before it. */
TRIB_MUST_CHECK enum trib_status trib_stage_parse_args(const char *const *texts, size_t n, struct trib_stage_use *use,
                                                       struct trib_error *error);

size_t trib_stages(const struct trib_stage *const **list);
const struct trib_stage *trib_stage_find(const char *name); /* NULL when unknown */
const struct trib_stage *trib_stage_by_id(uint8_t id);      /* NULL when unknown */

#endif
