/* One walk over a frame: every value is looked at, and none is kept. */
#include "intake/verify.h"

#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>

struct walk {
    const struct trib_update_rules *rules;
    const uint8_t *sketch; /* NULL: none was offered */
    struct trib_sketch_plan plan;
    _Atomic(uint64_t) contradictions;
    double *squares; /* [blocks]: summed in their order, whichever thread was first */
};

static enum trib_status check_block(void *context, size_t first, const float *values, size_t n,
                                    struct trib_error *error)
{
    struct walk *walk = context;
    float largest = 0;
    double lanes[8] = {0};
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(values[i]);
        largest = magnitude > largest ? magnitude : largest;
        lanes[i % 8] += (double)values[i] * (double)values[i];
    }
    double *sum = &walk->squares[first / TRIB_CODEC_BLOCK];
    for (int i = 0; i < 8; i++) {
        *sum += lanes[i];
    }
    if ((double)largest > walk->rules->max_abs) {
        return trib_fail(error, TRIB_LIMIT, "an element among %zu to %zu has magnitude %g, above strategy.max_abs %g",
                         first, first + n - 1, (double)largest, walk->rules->max_abs);
    }
    if (walk->sketch) {
        atomic_fetch_add(&walk->contradictions,
                         trib_sketch_contradictions(&walk->plan, walk->sketch, first, values, n));
    }
    return TRIB_OK;
}

static enum trib_status check_chain(const struct trib_update_rules *rules, const struct trib_frame_source *source,
                                    struct trib_error *error)
{
    struct trib_frame_header header;
    TRIB_TRY(trib_frame_parse_header(source, &header, error));
    if (!rules->chain || trib_chain_same_stages(&header.chain, rules->chain)) {
        return TRIB_OK;
    }
    char names[TRIB_CHAIN_TEXT];
    trib_chain_names(rules->chain, names);
    return trib_fail(error, TRIB_MISMATCH, "the update is coded as %s; the task asked for %s", header.chain.text,
                     names);
}

struct trib_frame_expect trib_update_expect(const struct trib_update_rules *rules)
{
    return (struct trib_frame_expect){.kind = TRIB_FRAME_UPDATE, .schema = rules->schema, .n_elements = rules->n};
}

enum trib_status trib_update_verify(const struct trib_frame_source *source, const struct trib_update_rules *rules,
                                    const struct trib_update_claim *claim, bool *lied, struct trib_error *error)
{
    const struct trib_frame_expect expect = trib_update_expect(rules);
    struct walk walk = {.rules = rules, .sketch = claim->sketch};
    *lied = false;
    if (rules->sketch_positions > 0 && !claim->sketch) {
        return trib_fail(error, TRIB_MISMATCH, "the sketch that was offered for it is gone");
    }
    walk.plan = trib_sketch_plan(claim->run, claim->task_round, rules->sketch_positions, rules->n);
    TRIB_TRY(check_chain(rules, source, error));
    size_t n_blocks = rules->n / TRIB_CODEC_BLOCK + 1;
    walk.squares = trib_calloc(n_blocks, sizeof *walk.squares);
    if (!walk.squares) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_frame_walk(source, &expect, rules->pool, check_block, &walk, NULL, error);
    double sum = 0;
    for (size_t i = 0; i < n_blocks; i++) {
        sum += walk.squares[i];
    }
    trib_free(walk.squares);
    TRIB_TRY(status);
    uint64_t contradictions = atomic_load(&walk.contradictions);
    if (contradictions > 0) {
        *lied = true;
        return trib_fail(error, TRIB_MISMATCH,
                         "the update contradicts the sketch that was offered for it, at %" PRIu64 " of %" PRIu64
                         " positions",
                         contradictions, walk.plan.k);
    }
    double norm = sqrt(sum);
    if (rules->max_norm > 0 && norm > rules->max_norm) {
        return trib_fail(error, TRIB_LIMIT, "the update's L2 norm is %g, above strategy.max_norm %g", norm,
                         rules->max_norm);
    }
    return TRIB_OK;
}
