/* The formulas of error feedback are loops over ranges of vectors. */
#include "codec/feedback.h"

#include "base/clones.h"

#include <string.h>

static const char *const names[] = {[TRIB_FEEDBACK_NONE] = "none",
                                    [TRIB_FEEDBACK_EF] = "ef",
                                    [TRIB_FEEDBACK_EF21] = "ef21",
                                    [TRIB_FEEDBACK_DGC] = "dgc"};
enum { KINDS = sizeof names / sizeof names[0] };

enum trib_status trib_feedback_read(const char *name, double momentum, struct trib_feedback *feedback,
                                    struct trib_error *error)
{
    unsigned kind = 0;
    while (name[0] != '\0' && kind < KINDS && strcmp(name, names[kind]) != 0) {
        kind++;
    }
    if (kind == KINDS) {
        return trib_fail(error, TRIB_UNSUPPORTED,
                         "error feedback \"%.40s\" is not known; known are none, ef, ef21, dgc", name);
    }
    if (!(momentum >= 0 && momentum < 1)) {
        return trib_fail(error, TRIB_INVALID, "a feedback momentum of %g; 0 or more and less than 1 is possible",
                         momentum);
    }
    *feedback = (struct trib_feedback){.kind = (enum trib_feedback_kind)kind, .momentum = momentum};
    return TRIB_OK;
}

const char *trib_feedback_name(enum trib_feedback_kind kind)
{
    return names[kind];
}

unsigned trib_feedback_vectors(enum trib_feedback_kind kind)
{
    return kind == TRIB_FEEDBACK_NONE ? 0 : kind == TRIB_FEEDBACK_DGC ? 2 : 1;
}

bool trib_feedback_changes_before(enum trib_feedback_kind kind)
{
    return kind == TRIB_FEEDBACK_DGC;
}

bool trib_feedback_reads_after(enum trib_feedback_kind kind)
{
    return kind == TRIB_FEEDBACK_EF21 || kind == TRIB_FEEDBACK_DGC;
}

/* ---- loops ---- */

TRIB_CLONES static void add(float *to, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] += values[i];
    }
}

TRIB_CLONES static void subtract(float *from, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        from[i] -= values[i];
    }
}

TRIB_CLONES static void gather_momentum(float *delta, float *u, float *v, float momentum, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        u[i] = momentum * u[i] + delta[i];
        v[i] += u[i];
        delta[i] = v[i];
    }
}

TRIB_CLONES static void take_sent(const float *sent, float *u, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        u[i] = sent[i] != 0 ? 0 : u[i];
        v[i] -= sent[i];
    }
}

/* ---- the three steps ---- */

void trib_feedback_before(const struct trib_feedback *feedback, float *delta, float *const *state, size_t n)
{
    switch (feedback->kind) {
    case TRIB_FEEDBACK_NONE:
        break;
    case TRIB_FEEDBACK_EF:
        add(delta, state[0], n);
        break;
    case TRIB_FEEDBACK_EF21:
        subtract(delta, state[0], n);
        break;
    case TRIB_FEEDBACK_DGC:
        gather_momentum(delta, state[0], state[1], (float)feedback->momentum, n);
        break;
    }
}

void trib_feedback_decoded(void *context, size_t first, const float *values, size_t n)
{
    const struct trib_feedback_coding *coding = context;
    if (coding->kind == TRIB_FEEDBACK_EF) {
        subtract(coding->vector + first, values, n);
    } else {
        memcpy(coding->vector + first, values, n * sizeof *values);
    }
}

void trib_feedback_after(const struct trib_feedback *feedback, const float *vector, float *const *state, size_t n)
{
    switch (feedback->kind) {
    case TRIB_FEEDBACK_NONE:
        break;
    case TRIB_FEEDBACK_EF:
        memcpy(state[0], vector, n * sizeof *vector);
        break;
    case TRIB_FEEDBACK_EF21:
        add(state[0], vector, n);
        break;
    case TRIB_FEEDBACK_DGC:
        take_sent(vector, state[0], state[1], n);
        break;
    }
}
