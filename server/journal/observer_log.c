/* The log's observer: a line for each fact that an operator wants to see. */
#include "journal/observer.h"

#include "base/log.h"

#include <math.h>

extern const struct trib_observer trib_observer_log;

/* ---- nodes ---- */

static void node_refused(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_WARN, "engine", "client_refused", TRIB_F_STR("node", f->node), TRIB_F_STR("reason", f->reason));
}

static void node_replaced(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_WARN, "engine", "client_replaced", TRIB_F_STR("node", f->node), TRIB_F_STR("old", f->old_address),
             TRIB_F_STR("new", f->address));
}

static void node_joined(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_INFO, "engine", "client_joined", TRIB_F_STR("node", f->node), TRIB_F_STR("address", f->address),
             TRIB_F_INT("examples", f->examples), TRIB_F_INT("connected", f->connected));
}

static void node_filtered(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_INFO, "engine", "client_filtered", TRIB_F_STR("node", f->node), TRIB_F_STR("reason", f->reason));
}

static void node_goodbye(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_INFO, "engine", "client_goodbye", TRIB_F_STR("node", f->node), TRIB_F_STR("reason", f->reason));
}

static void node_left(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_INFO, "engine", "client_left", TRIB_F_STR("node", f->node), TRIB_F_STR("reason", f->reason),
             TRIB_F_STR("part_in_round", f->state), TRIB_F_INT("connected", f->connected));
}

/* ---- the run ---- */

static void run_resumed(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_INFO, "store", "run_resumed", TRIB_F_STR("run", f->run), TRIB_F_INT("round", f->round),
             TRIB_F_INT("attempt", f->attempt + 1), TRIB_F_INT("version", f->version),
             TRIB_F_BOOL("round_open", f->open), TRIB_F_INT("members", f->members), TRIB_F_INT("uploads", f->uploads));
}

static void run_finished(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_INFO, "round", "run_finished", TRIB_F_STR("run", f->run), TRIB_F_STR("reason", f->reason),
             TRIB_F_INT("rounds", f->round));
}

/* ---- rounds ---- */

static void round_started(const struct trib_fact *f)
{
    const struct trib_round_summary *s = f->summary;
    trib_log(TRIB_LOG_INFO, "round", "round_started", TRIB_F_INT("round", s->round),
             TRIB_F_INT("attempt", s->attempt + 1), TRIB_F_INT("available", s->available),
             TRIB_F_INT("eligible", s->eligible), TRIB_F_INT("cohort", s->cohort));
}

static void round_abandoned(const struct trib_fact *f)
{
    const struct trib_round_summary *s = f->summary;
    trib_log(TRIB_LOG_WARN, "round", "round_abandoned", TRIB_F_INT("round", s->round),
             TRIB_F_INT("attempt", s->attempt + 1), TRIB_F_STR("reason", f->reason), TRIB_F_INT("cohort", s->cohort),
             TRIB_F_INT("offered", s->offered), TRIB_F_INT("skipped", s->skipped), TRIB_F_INT("folded", s->folded),
             TRIB_F_INT("rejected", s->rejected), TRIB_F_INT("failed", s->failed), TRIB_F_INT("late", s->late));
}

static double seconds_between(int64_t from_ms, int64_t to_ms)
{
    return from_ms > 0 && to_ms > from_ms ? (double)(to_ms - from_ms) / 1000.0 : 0.0;
}

/* Bytes that were not sent because something shorter than the raw model was. */
static uint64_t saved(uint64_t transfers, uint64_t raw, uint64_t sent)
{
    return transfers * raw > sent ? transfers * raw - sent : 0;
}

/* Those of a line's fields that depend on what the round was about. */
static int add_decisions(const struct trib_round_record *record, struct trib_field *fields)
{
    const struct trib_round_summary *s = &record->summary;
    int n = 0;
    if (record->may_be_stale) {
        fields[n++] = TRIB_F_INT("stale", s->stale);
        fields[n++] = TRIB_F_REAL("staleness", s->folded > 0 ? (double)s->staleness / s->folded : 0);
    }
    if (record->judged) {
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

static void round_ended(const struct trib_fact *f)
{
    const struct trib_round_record *record = f->record;
    const struct trib_round_summary *s = &record->summary;
    struct trib_field fields[40];
    int n = 0;
    fields[n++] = TRIB_F_STR("run", f->run);
    fields[n++] = TRIB_F_INT("round", s->round);
    fields[n++] = TRIB_F_INT("cohort", s->cohort);
    fields[n++] = TRIB_F_INT("offered", s->offered);
    fields[n++] = TRIB_F_INT("uploaded", s->uploaded);
    fields[n++] = TRIB_F_INT("folded", s->folded);
    fields[n++] = TRIB_F_INT("skipped", s->skipped);
    fields[n++] = TRIB_F_INT("rejected", s->rejected);
    fields[n++] = TRIB_F_INT("late", s->late);
    fields[n++] = TRIB_F_INT("failed", s->failed);
    n += add_decisions(record, fields + n);
    fields[n++] = TRIB_F_INT("bytes_up", record->bytes_up);
    fields[n++] = TRIB_F_INT("bytes_down", record->bytes_down);
    fields[n++] = TRIB_F_STR("codec_up", record->codec_up);
    fields[n++] = TRIB_F_STR("codec_down", record->codec_down);
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

/* ---- members ---- */

static void task_sent(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_DEBUG, "round", "task", TRIB_F_INT("round", f->round), TRIB_F_STR("node", f->node),
             TRIB_F_STR("reason", f->reason), TRIB_F_INT("model_version", f->version),
             TRIB_F_INT("model_bytes", f->bytes), TRIB_F_INT("deltas", f->deltas));
}

static void offered(const struct trib_fact *f)
{
    const struct trib_offer_figures *o = f->offer;
    trib_log(TRIB_LOG_DEBUG, "round", "offer", TRIB_F_INT("round", f->round), TRIB_F_STR("node", f->node),
             TRIB_F_INT("examples", o->examples), TRIB_F_INT("steps", o->steps),
             TRIB_F_BOOL("stopped_early", o->stopped_early), TRIB_F_REAL("loss", o->loss), TRIB_F_REAL("norm", o->norm),
             TRIB_F_REAL("relevance", f->relevance), TRIB_F_REAL("relevance_error", f->relevance_error),
             TRIB_F_REAL("seconds", o->seconds), TRIB_F_INT("bytes", o->len), TRIB_F_STR("codec", o->codec),
             TRIB_F_STR("codec_reason", o->codec_reason));
}

static void scored(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_DEBUG, "round", "scored", TRIB_F_INT("round", f->round), TRIB_F_STR("node", f->node),
             TRIB_F_REAL("relevance", f->relevance));
}

static void selected(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_DEBUG, "round", "selected", TRIB_F_INT("round", f->round), TRIB_F_STR("node", f->node),
             TRIB_F_STR("reason", f->reason));
}

static void skipped(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_DEBUG, "round", "skipped", TRIB_F_INT("round", f->round), TRIB_F_STR("node", f->node),
             TRIB_F_STR("reason", f->reason));
}

static void failed(const struct trib_fact *f)
{
    trib_log(f->current ? TRIB_LOG_WARN : TRIB_LOG_DEBUG, "round", "client_failed", TRIB_F_INT("round", f->round),
             TRIB_F_STR("node", f->node), TRIB_F_STR("status", f->status), TRIB_F_STR("reason", f->reason));
}

static void outcome(const struct trib_fact *f)
{
    if (f->outcome == TRIB_OUTCOME_REJECTED) {
        trib_log(TRIB_LOG_WARN, "round", "update_rejected", TRIB_F_INT("round", f->round), TRIB_F_STR("node", f->node),
                 TRIB_F_STR("reason", f->reason));
    } else if (f->outcome == TRIB_OUTCOME_LATE) {
        trib_log(f->current ? TRIB_LOG_WARN : TRIB_LOG_DEBUG, "round", "client_late", TRIB_F_INT("round", f->round),
                 TRIB_F_STR("node", f->node), TRIB_F_STR("reason", f->reason));
    }
}

static void lied(const struct trib_fact *f)
{
    trib_log(TRIB_LOG_WARN, "round", "client_lied", TRIB_F_INT("round", f->round), TRIB_F_STR("node", f->node),
             TRIB_F_INT("times", f->times), TRIB_F_INT("left_out_rounds", f->rounds));
}

static void tell(struct trib_journal *journal, const struct trib_fact *fact)
{
    static void (*const lines[TRIB_FACT_KINDS])(const struct trib_fact *) = {
        [TRIB_FACT_NODE_REFUSED] = node_refused,
        [TRIB_FACT_NODE_REPLACED] = node_replaced,
        [TRIB_FACT_NODE_JOINED] = node_joined,
        [TRIB_FACT_NODE_FILTERED] = node_filtered,
        [TRIB_FACT_NODE_GOODBYE] = node_goodbye,
        [TRIB_FACT_NODE_LEFT] = node_left,
        [TRIB_FACT_RUN_RESUMED] = run_resumed,
        [TRIB_FACT_RUN_FINISHED] = run_finished,
        [TRIB_FACT_ROUND_STARTED] = round_started,
        [TRIB_FACT_ROUND_ENDED] = round_ended,
        [TRIB_FACT_ROUND_ABANDONED] = round_abandoned,
        [TRIB_FACT_TASK_SENT] = task_sent,
        [TRIB_FACT_OFFERED] = offered,
        [TRIB_FACT_SCORED] = scored,
        [TRIB_FACT_SELECTED] = selected,
        [TRIB_FACT_SKIPPED] = skipped,
        [TRIB_FACT_FAILED] = failed,
        [TRIB_FACT_OUTCOME] = outcome,
        [TRIB_FACT_LIED] = lied,
    };
    (void)journal;
    if (lines[fact->kind]) {
        lines[fact->kind](fact);
    }
}

const struct trib_observer trib_observer_log = {.name = "log", .fact = tell};
