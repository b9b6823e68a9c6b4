/* The log line of a committed round: every figure that an operator wants. */
#include "engine_private.h"

#include "base/log.h"

#include <math.h>

static double seconds_between(int64_t from_ms, int64_t to_ms)
{
    return from_ms > 0 && to_ms > from_ms ? (double)(to_ms - from_ms) / 1000.0 : 0.0;
}

/* Bytes that were not sent because something shorter than the raw model was. */
static uint64_t saved(uint64_t transfers, uint64_t raw, uint64_t sent)
{
    return transfers * raw > sent ? transfers * raw - sent : 0;
}

void trib_engine_log_committed(struct trib_engine *engine)
{
    const struct trib_round_summary *s = trib_round_summary(engine->round);
    bool evaluated = engine->evaluation.examples > 0;
    double train_loss = engine->train_weight_sum > 0 ? engine->train_loss_sum / engine->train_weight_sum : NAN;
    int64_t evaluated_ms = s->evaluated_ms > 0 ? s->evaluated_ms : s->applied_ms;
    struct trib_field fields[32];
    int n = 0;
    fields[n++] = TRIB_F_STR("run", engine->run);
    fields[n++] = TRIB_F_INT("round", s->round);
    fields[n++] = TRIB_F_INT("cohort", s->cohort);
    fields[n++] = TRIB_F_INT("offered", s->offered);
    fields[n++] = TRIB_F_INT("uploaded", s->uploaded);
    fields[n++] = TRIB_F_INT("folded", s->folded);
    fields[n++] = TRIB_F_INT("skipped", s->skipped);
    fields[n++] = TRIB_F_INT("rejected", s->rejected);
    fields[n++] = TRIB_F_INT("late", s->late);
    fields[n++] = TRIB_F_INT("failed", s->failed);
    uint64_t up = atomic_load(&engine->bytes_up) - engine->bytes_up_before;
    uint64_t down = atomic_load(&engine->bytes_down) - engine->bytes_down_before;
    uint64_t raw = trib_blob_len(engine->current.raw);
    fields[n++] = TRIB_F_INT("bytes_up", up);
    fields[n++] = TRIB_F_INT("bytes_down", down);
    fields[n++] = TRIB_F_STR("codec_up", trib_uplink_text(&engine->uplink));
    fields[n++] = TRIB_F_STR("codec_down", engine->codec_down.text);
    fields[n++] = TRIB_F_INT("saved_up", saved(s->uploaded, raw, up));
    fields[n++] = TRIB_F_INT("saved_down", saved(s->cohort, raw, down));
    fields[n++] = TRIB_F_REAL("train_loss", train_loss);
    if (evaluated) {
        fields[n++] = TRIB_F_REAL("loss", engine->evaluation.loss);
    }
    if (evaluated && !isnan(engine->evaluation.accuracy)) { /* a regression has none */
        fields[n++] = TRIB_F_REAL("accuracy", engine->evaluation.accuracy);
    }
    fields[n++] = TRIB_F_REAL("seconds", seconds_between(s->began_ms, s->committed_ms));
    fields[n++] = TRIB_F_REAL("seconds_train", seconds_between(s->began_ms, s->first_offer_ms));
    fields[n++] = TRIB_F_REAL("seconds_collect", seconds_between(s->first_offer_ms, s->closed_ms));
    fields[n++] = TRIB_F_REAL("seconds_apply", seconds_between(s->closed_ms, s->applied_ms));
    if (evaluated) {
        fields[n++] = TRIB_F_REAL("seconds_evaluate", seconds_between(s->applied_ms, s->evaluated_ms));
    }
    fields[n++] = TRIB_F_REAL("seconds_commit", seconds_between(evaluated_ms, s->committed_ms));
    trib_log_fields(TRIB_LOG_INFO, "round", "round_committed", fields, n);
}
