/* The journal's observer: facts become rows of the past, to be written with the next batch. */
#include "journal/observer.h"

#include "base/str.h"
#include "journal_private.h"

#include <string.h>

extern const struct trib_observer trib_observer_journal;

static void put_node(struct trib_journal *journal, const struct trib_fact *f)
{
    struct trib_store_nodes row = {.first_seen = f->first_seen_ms, .last_seen = f->wall_ms, .joined = f->joined};
    trib_str_copy(row.node, sizeof row.node, f->node);
    trib_str_copy(row.software, sizeof row.software, f->software);
    trib_str_copy(row.address, sizeof row.address, f->address);
    trib_batch_put(&journal->batch, TRIB_STORE_nodes, &row);
}

static void put_offer(struct trib_journal *journal, const struct trib_fact *f)
{
    const struct trib_offer_figures *offer = f->offer;
    struct trib_store_offers row = {.round = f->round,
                                    .at = f->wall_ms,
                                    .examples = as_column(offer->examples),
                                    .steps = as_column(offer->steps),
                                    .loss = offer->loss,
                                    .norm = offer->norm,
                                    .relevance = f->relevance,
                                    .len = as_column(offer->len)};
    trib_str_copy(row.run, sizeof row.run, journal->run);
    trib_str_copy(row.node, sizeof row.node, f->node);
    memcpy(row.sha256, offer->sha256, sizeof row.sha256);
    trib_batch_put(&journal->batch, TRIB_STORE_offers, &row);
}

void trib_journal_put_outcome(struct trib_journal *journal, const char *node, uint64_t round, int64_t at_ms,
                              uint64_t weight, const char *outcome, const char *reason)
{
    struct trib_store_outcomes row = {.round = round, .at = at_ms, .weight = weight};
    trib_str_copy(row.run, sizeof row.run, journal->run);
    trib_str_copy(row.node, sizeof row.node, node);
    trib_str_copy(row.outcome, sizeof row.outcome, outcome);
    trib_str_copy(row.reason, sizeof row.reason, reason);
    trib_batch_put(&journal->batch, TRIB_STORE_outcomes, &row);
}

static void put_outcome(struct trib_journal *journal, const struct trib_fact *f, const char *outcome)
{
    trib_journal_put_outcome(journal, f->node, f->round, f->wall_ms, f->weight, outcome, f->reason);
}

/* Offers and outcomes of rounds that are older than history_rounds go. */
static void remove_old(struct trib_journal *journal, uint64_t round)
{
    uint64_t kept = journal->options.history_rounds;
    if (round > kept) {
        struct trib_store_offers offers = {.round = round - kept};
        struct trib_store_outcomes outcomes = {.round = round - kept};
        trib_str_copy(offers.run, sizeof offers.run, journal->run);
        trib_str_copy(outcomes.run, sizeof outcomes.run, journal->run);
        trib_batch_remove(&journal->batch, TRIB_STORE_offers, &offers, 2);
        trib_batch_remove(&journal->batch, TRIB_STORE_outcomes, &outcomes, 2);
    }
}

void trib_journal_put_round(struct trib_journal *journal, const struct trib_round_record *record, int64_t began_ms,
                            int64_t ended_ms)
{
    const struct trib_round_summary *s = &record->summary;
    struct trib_store_rounds row = {.round = s->round,
                                    .began = began_ms,
                                    .ended = ended_ms,
                                    .attempts = s->attempt + 1,
                                    .version = record->version,
                                    .cohort = s->cohort,
                                    .offered = s->offered,
                                    .uploaded = s->uploaded,
                                    .folded = s->folded,
                                    .skipped = s->skipped,
                                    .rejected = s->rejected,
                                    .failed = s->failed,
                                    .late = s->late,
                                    .bytes_up = as_column(record->bytes_up),
                                    .bytes_down = as_column(record->bytes_down),
                                    .train_loss = record->train_loss,
                                    .loss = record->loss,
                                    .accuracy = record->accuracy};
    trib_str_copy(row.run, sizeof row.run, journal->run);
    trib_str_copy(row.outcome, sizeof row.outcome, record->carried ? "carried" : "committed");
    trib_batch_put(&journal->batch, TRIB_STORE_rounds, &row);
    remove_old(journal, s->round);
}

static void put_audit(struct trib_journal *journal, const struct trib_fact *f, const char *event)
{
    struct trib_store_audit row = {.at = f->wall_ms, .round = f->round};
    trib_str_copy(row.run, sizeof row.run, journal->run);
    trib_str_copy(row.node, sizeof row.node, f->node ? f->node : "");
    trib_str_copy(row.event, sizeof row.event, event);
    trib_str_copy(row.detail, sizeof row.detail, f->reason);
    trib_batch_put(&journal->batch, TRIB_STORE_audit, &row);
}

static void tell(struct trib_journal *journal, const struct trib_fact *f)
{
    if (!journal) {
        return;
    }
    switch (f->kind) {
    case TRIB_FACT_NODE_JOINED:
        put_node(journal, f);
        break;
    case TRIB_FACT_OFFERED:
        put_offer(journal, f);
        break;
    case TRIB_FACT_SKIPPED:
        put_outcome(journal, f, "skipped");
        break;
    case TRIB_FACT_FAILED:
        if (f->current) {
            put_outcome(journal, f, "failed");
        }
        break;
    case TRIB_FACT_OUTCOME:
        if (f->current) {
            put_outcome(journal, f, trib_outcome_name(f->outcome));
        }
        break;
    case TRIB_FACT_LIED:
        put_audit(journal, f, "client_lied");
        break;
    case TRIB_FACT_RUN_FINISHED:
        put_audit(journal, f, f->complete ? "run_complete" : "run_stopped");
        break;
    case TRIB_FACT_ROUND_ENDED:
        if (f->record->carried) { /* that of a commit goes with it */
            trib_journal_put_round(journal, f->record, f->wall_ms - f->duration_ms, f->wall_ms);
        }
        break;
    default:
        break;
    }
}

const struct trib_observer trib_observer_journal = {.name = "journal", .fact = tell};

void trib_journal_put_audit(struct trib_journal *journal, const char *event, uint64_t round, int64_t at_ms)
{
    const struct trib_fact fact = {.round = round, .wall_ms = at_ms, .reason = journal->options.software};
    put_audit(journal, &fact, event);
}
