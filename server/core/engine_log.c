/* A round that has ended: the line with every figure that an operator wants. */
#include "engine_private.h"

#include "base/log.h"
#include "core/round_record.h"

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

struct trib_round_record trib_engine_record(struct trib_engine *engine, bool carried)
{
    const struct trib_version *present = trib_release_present(engine->release);
    bool evaluated = engine->evaluation.examples > 0;
    return (struct trib_round_record){
        .summary = *trib_round_summary(engine->round),
        .carried = carried,
        .version = present->number,
        .bytes_up = atomic_load(&engine->bytes_up) - engine->bytes_up_before,
        .bytes_down = atomic_load(&engine->bytes_down) - engine->bytes_down_before,
        .raw_bytes = trib_blob_len(present->raw),
        .train_loss = engine->train_weight_sum > 0 ? engine->train_loss_sum / engine->train_weight_sum : (double)NAN,
        .loss = evaluated ? engine->evaluation.loss : (double)NAN,
        .accuracy = evaluated ? engine->evaluation.accuracy : (double)NAN,
        .proximal_mu = engine->proximal.mu,
    };
}

/* Those of a line's fields that depend on what the round was about. */
static int add_decisions(const struct trib_engine *engine, const struct trib_round_record *record,
                         struct trib_field *fields)
{
    const struct trib_round_summary *s = &record->summary;
    int n = 0;
    if (engine->settings->max_staleness > 0 || engine->settings->buffer > 0) {
        fields[n++] = TRIB_F_INT("stale", s->stale);
        fields[n++] = TRIB_F_REAL("staleness", s->folded > 0 ? (double)s->staleness / s->folded : 0);
    }
    if (engine->relevance.k > 0) {
        fields[n++] = TRIB_F_REAL("relevance", s->scored > 0 ? s->relevance_sum / s->scored : (double)NAN);
        fields[n++] = TRIB_F_REAL("threshold", s->threshold);
    }
    if (record->proximal_mu > 0) {
        fields[n++] = TRIB_F_REAL("mu", record->proximal_mu);
    }
    return n;
}

static int add_times(const struct trib_round_record *record, struct trib_field *fields)
{
    const struct trib_round_summary *s = &record->summary;
    int64_t evaluated_ms = s->evaluated_ms > 0 ? s->evaluated_ms : s->applied_ms;
    int n = 0;
    fields[n++] = TRIB_F_REAL("seconds", seconds_between(s->began_ms, s->committed_ms));
    fields[n++] = TRIB_F_REAL("seconds_train", seconds_between(s->began_ms, s->first_offer_ms));
    fields[n++] = TRIB_F_REAL("seconds_collect", seconds_between(s->first_offer_ms, s->closed_ms));
    if (record->carried) {
        return n;
    }
    fields[n++] = TRIB_F_REAL("seconds_apply", seconds_between(s->closed_ms, s->applied_ms));
    if (s->evaluated_ms > 0) {
        fields[n++] = TRIB_F_REAL("seconds_evaluate", seconds_between(s->applied_ms, s->evaluated_ms));
    }
    fields[n++] = TRIB_F_REAL("seconds_commit", seconds_between(evaluated_ms, s->committed_ms));
    return n;
}

static void log_record(const struct trib_engine *engine, const struct trib_round_record *record)
{
    const struct trib_round_summary *s = &record->summary;
    struct trib_field fields[40];
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
    n += add_decisions(engine, record, fields + n);
    fields[n++] = TRIB_F_INT("bytes_up", record->bytes_up);
    fields[n++] = TRIB_F_INT("bytes_down", record->bytes_down);
    fields[n++] = TRIB_F_STR("codec_up", trib_uplink_text(&engine->uplink));
    fields[n++] = TRIB_F_STR("codec_down", engine->sealer.down.text);
    fields[n++] = TRIB_F_INT("saved_up", saved(s->uploaded, record->raw_bytes, record->bytes_up));
    fields[n++] = TRIB_F_INT("saved_down", saved(s->cohort, record->raw_bytes, record->bytes_down));
    if (!isnan(record->train_loss)) {
        fields[n++] = TRIB_F_REAL("train_loss", record->train_loss);
    }
    if (!isnan(record->loss)) {
        fields[n++] = TRIB_F_REAL("loss", record->loss);
    }
    if (!isnan(record->accuracy)) { /* a regression has none */
        fields[n++] = TRIB_F_REAL("accuracy", record->accuracy);
    }
    n += add_times(record, fields + n);
    trib_log_fields(TRIB_LOG_INFO, "round", record->carried ? "round_carried" : "round_committed", fields, n);
}

double trib_engine_loss_of(const struct trib_engine *engine, const struct trib_round_record *record)
{
    return engine->has_test_set ? record->loss : record->train_loss;
}

void trib_engine_round_ended(struct trib_engine *engine, bool carried)
{
    const struct trib_round_record record = trib_engine_record(engine, carried);
    log_record(engine, &record);
    trib_proximal_learn(&engine->proximal, trib_engine_loss_of(engine, &record));
    if (carried) { /* else it is in the commit */
        trib_engine_note_round(engine, &record);
    }
    if (engine->driver && engine->driver->observed) {
        engine->driver->observed(engine->driver->context, &record);
    }
}
