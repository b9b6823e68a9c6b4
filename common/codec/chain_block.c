/* A block goes through a chain here, there and back; so does the survey of the whole vector that some stages need
 * before. */
#include "codec/chain.h"

#include "finite.h"
#include "pack.h"

#include "base/mem.h"

#include <string.h>

enum { HEADS_MOST = 4096 /* of all stages of a block together, and their streams' own tables */ };

struct trib_chain_work {
    float *values, *scratch;
    uint8_t *numbers;
    uint32_t *positions;
    uint16_t *symbols;
};

size_t trib_chain_bound(size_t n)
{
    return n * sizeof(float) + (n + 7) / 8 + HEADS_MOST; /* floats, a bitmap of their positions, heads */
}

struct trib_chain_work *trib_chain_work_new(void)
{
    struct trib_chain_work *work = trib_calloc(1, sizeof *work);
    if (!work) {
        return NULL;
    }
    work->values = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof *work->values);
    work->scratch = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof *work->scratch);
    work->numbers = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof(float));
    work->positions = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof *work->positions);
    work->symbols = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof *work->symbols);
    if (!work->values || !work->scratch || !work->numbers || !work->positions || !work->symbols) {
        trib_chain_work_free(work);
        return NULL;
    }
    return work;
}

void trib_chain_work_free(struct trib_chain_work *work)
{
    if (!work) {
        return;
    }
    trib_free(work->values);
    trib_free(work->scratch);
    trib_free(work->numbers);
    trib_free(work->positions);
    trib_free(work->symbols);
    trib_free(work);
}

static struct trib_block make_block(const struct trib_chain_work *work, uint64_t seed, uint64_t number, size_t n)
{
    return (struct trib_block){
        .seed = seed,
        .number = number,
        .n = n,
        .values = work->values,
        .n_values = n,
        .positions = work->positions,
        .symbols = work->symbols,
        .numbers = work->numbers,
        .scratch = work->scratch,
    };
}

/* ---- the survey ---- */

struct trib_survey {
    void *states[TRIB_CHAIN_STAGES]; /* of the stages that have one */
    const struct trib_chain *chain;
};

void trib_survey_free(struct trib_survey *survey)
{
    if (!survey) {
        return;
    }
    for (unsigned i = 0; i < TRIB_CHAIN_STAGES; i++) {
        if (survey->states[i]) {
            const struct trib_stage_survey *table = survey->chain->uses[i].stage->survey;
            if (table->clear) {
                table->clear(survey->states[i]);
            }
            trib_free(survey->states[i]);
        }
    }
    trib_free(survey);
}

/* The block as the stage at `index` will find it, but for isometric transforms. */
static enum trib_status lead_up(const struct trib_survey *survey, unsigned index, struct trib_block *block)
{
    uint8_t heads[HEADS_MOST];
    struct trib_writer out = {.data = heads, .capacity = sizeof heads};
    for (unsigned i = 0; i < index; i++) {
        const struct trib_stage_use *use = &survey->chain->uses[i];
        if (!(use->caps & TRIB_CODEC_ISOMETRIC)) {
            TRIB_TRY(use->stage->encode(use, survey->states[i], block, &out));
        }
    }
    return TRIB_OK;
}

static enum trib_status survey_stage(struct trib_survey *survey, unsigned index, const struct trib_survey_info *info,
                                     struct trib_chain_work *work, const float *vector, struct trib_error *error)
{
    const struct trib_stage_use *use = &survey->chain->uses[index];
    const struct trib_stage_survey *table = use->stage->survey;
    void *state = trib_calloc(1, table->state_size);
    survey->states[index] = state;
    if (!state) {
        return trib_fail_no_memory(error);
    }
    unsigned passes = !table->passes_for ? table->passes : table->passes_for(use);
    enum trib_status status = table->begin(use, info, state);
    for (unsigned pass = 0; status == TRIB_OK && pass < passes; pass++) {
        for (uint32_t number = 0; status == TRIB_OK && number < info->n_blocks; number++) {
            size_t first = (size_t)number * TRIB_CODEC_BLOCK;
            size_t n = info->n - first < TRIB_CODEC_BLOCK ? (size_t)(info->n - first) : TRIB_CODEC_BLOCK;
            struct trib_block block = make_block(work, info->seed, number, n);
            memcpy(block.values, vector + first, n * sizeof *vector);
            status = lead_up(survey, index, &block);
            if (status == TRIB_OK) {
                table->block(use, state, pass, &block);
            }
        }
        if (status == TRIB_OK) {
            table->end(use, state, pass);
        }
    }
    return status == TRIB_OK ? TRIB_OK
                             : trib_fail(error, status, "codec %s: %s", use->stage->name, trib_status_text(status));
}

static bool needs_survey(const struct trib_chain *chain)
{
    bool needs = false;
    for (unsigned i = 0; i < chain->n; i++) {
        needs = needs || chain->uses[i].stage->survey;
    }
    return needs;
}

enum trib_status trib_survey_new(const struct trib_chain *chain, uint64_t seed, const float *vector, size_t n,
                                 struct trib_survey **survey, struct trib_error *error)
{
    *survey = NULL;
    if (!needs_survey(chain)) {
        return TRIB_OK;
    }
    struct trib_survey_info info = {
        .n = n, .n_blocks = (uint32_t)((n + TRIB_CODEC_BLOCK - 1) / TRIB_CODEC_BLOCK), .seed = seed};
    struct trib_survey *made = trib_calloc(1, sizeof *made);
    struct trib_chain_work *work = trib_chain_work_new();
    enum trib_status status = made && work ? TRIB_OK : trib_fail_no_memory(error);
    if (made) {
        made->chain = chain;
    }
    for (unsigned i = 0; status == TRIB_OK && i < chain->n; i++) {
        if (chain->uses[i].stage->survey) {
            status = survey_stage(made, i, &info, work, vector, error);
        }
    }
    trib_chain_work_free(work);
    if (status != TRIB_OK) {
        trib_survey_free(made);
        return status;
    }
    *survey = made;
    return TRIB_OK;
}

/* ---- encoding ---- */

static enum trib_status encode_plain(const struct trib_stage *stage, const float *values, size_t n, uint8_t *to,
                                     size_t capacity, size_t *len)
{
    if (capacity < n * stage->width) {
        return TRIB_LIMIT;
    }
    if (!stage->pack(values, n, to)) {
        return TRIB_NOT_FINITE;
    }
    *len = n * stage->width;
    return TRIB_OK;
}

static enum trib_status encode_stage(const struct trib_stage_use *use, const void *state, struct trib_block *block,
                                     struct trib_writer *out)
{
    if (use->stage->width > 0) {
        block->width = use->stage->width;
        return use->stage->pack(block->values, block->n_values, block->numbers) ? TRIB_OK : TRIB_NOT_FINITE;
    }
    TRIB_TRY(use->stage->encode(use, state, block, out));
    if (use->stage->kind == TRIB_STAGE_QUANTIZE && block->n_segments == 0) {
        block->n_segments = 1;
        block->segments[0] = (uint32_t)block->n_symbols;
    }
    return TRIB_OK;
}

enum trib_status trib_chain_encode_block(const struct trib_chain *chain, const struct trib_survey *survey,
                                         struct trib_chain_work *work, uint64_t seed, uint64_t number,
                                         const float *values, size_t n, uint8_t *to, size_t capacity, size_t *len)
{
    const struct trib_stage *plain = trib_chain_plain(chain);
    if (plain) {
        return encode_plain(plain, values, n, to, capacity, len);
    }
    if (!trib_all_finite(values, n)) {
        return TRIB_NOT_FINITE;
    }
    struct trib_block block = make_block(work, seed, number, n);
    struct trib_writer out = {.data = to, .capacity = capacity};
    memcpy(block.values, values, n * sizeof *values);
    for (unsigned i = 0; i < chain->n; i++) {
        TRIB_TRY(encode_stage(&chain->uses[i], survey ? survey->states[i] : NULL, &block, &out));
    }
    if (chain->uses[chain->n - 1].stage->kind != TRIB_STAGE_ENTROPY) {
        trib_pack_block(&block, &out);
    }
    if (out.full) {
        return TRIB_LIMIT;
    }
    *len = out.len;
    return TRIB_OK;
}

/* ---- decoding ---- */

static enum trib_status decode_plain(const struct trib_stage *stage, const uint8_t *from, size_t len, float *to,
                                     size_t n)
{
    if (len != n * stage->width) {
        return TRIB_CORRUPT;
    }
    return stage->unpack(from, n, to) ? TRIB_OK : TRIB_NOT_FINITE;
}

/* What a stage's open promised must fit the buffers, whatever its bytes said. */
static bool fits(struct trib_block *block)
{
    uint64_t sum = 0;
    if (block->n_values > block->n || block->n_symbols > TRIB_CODEC_BLOCK || block->alphabet > UINT16_MAX + 1u) {
        return false;
    }
    for (unsigned i = 0; i < block->n_segments; i++) {
        sum += block->segments[i];
    }
    return block->alphabet == 0 || (block->n_segments <= TRIB_BLOCK_SEGMENTS && sum == block->n_symbols);
}

static enum trib_status open_stage(const struct trib_stage *stage, struct trib_block *block, struct trib_reader *in,
                                   union trib_stage_memory *memory)
{
    if (stage->width > 0) {
        block->width = stage->width;
        return TRIB_OK;
    }
    TRIB_TRY(stage->open(block, in, memory));
    if (stage->kind == TRIB_STAGE_QUANTIZE && block->n_segments == 0) {
        block->n_segments = 1;
        block->segments[0] = (uint32_t)block->n_symbols;
    }
    return !in->failed && fits(block) ? TRIB_OK : TRIB_CORRUPT;
}

static enum trib_status close_stage(const struct trib_stage *stage, struct trib_block *block,
                                    const union trib_stage_memory *memory)
{
    if (stage->width > 0) {
        return stage->unpack(block->numbers, block->n_values, block->values) ? TRIB_OK : TRIB_NOT_FINITE;
    }
    return !stage->decode ? TRIB_OK : stage->decode(block, memory);
}

enum trib_status trib_chain_decode_block(const struct trib_chain *chain, struct trib_chain_work *work, uint64_t seed,
                                         uint64_t number, const uint8_t *from, size_t len, float *to, size_t n)
{
    const struct trib_stage *plain = trib_chain_plain(chain);
    if (plain) {
        return decode_plain(plain, from, len, to, n);
    }
    union trib_stage_memory memories[TRIB_CHAIN_STAGES];
    struct trib_block block = make_block(work, seed, number, n);
    struct trib_reader in = {.data = from, .len = len};
    for (unsigned i = 0; i < chain->n; i++) {
        TRIB_TRY(open_stage(chain->uses[i].stage, &block, &in, &memories[i]));
    }
    if (chain->uses[chain->n - 1].stage->kind != TRIB_STAGE_ENTROPY) {
        TRIB_TRY(trib_unpack_block(&block, &in));
    }
    if (in.at != in.len) {
        return TRIB_CORRUPT;
    }
    block.values = to;
    for (unsigned i = chain->n; i-- > 0;) {
        TRIB_TRY(close_stage(chain->uses[i].stage, &block, &memories[i]));
    }
    return block.n_values == n && trib_all_finite(to, n) ? TRIB_OK : TRIB_NOT_FINITE;
}
