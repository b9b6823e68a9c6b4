/* The present, gathered into batches as it changes. */
#include "journal_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/member_row.h"

#include <string.h>

/* ---- the run ---- */

enum { RUN_STATE_VERSION = 1, RUN_STATE_LEN = 32 };

/* What the run adapts from round to round. */
static void pack_state(const struct trib_proximal *proximal, uint8_t to[RUN_STATE_LEN])
{
    memset(to, 0, RUN_STATE_LEN);
    trib_store_u32(to, RUN_STATE_VERSION);
    trib_store_u32(to + 4, proximal->falls);
    memcpy(to + 8, &proximal->mu, sizeof proximal->mu);
    memcpy(to + 16, &proximal->last_loss, sizeof proximal->last_loss);
    to[24] = proximal->has_loss;
}

enum trib_status trib_journal_recall_proximal(const struct trib_journal *journal, struct trib_proximal *proximal,
                                              struct trib_error *error)
{
    const struct trib_store_bytes *bytes = &journal->last.engine_state;
    const uint8_t *from = bytes->data;
    if (!from) {
        return TRIB_OK;
    }
    if (bytes->len != RUN_STATE_LEN || trib_load_u32(from) != RUN_STATE_VERSION) {
        return trib_fail(error, TRIB_CORRUPT, "runs.engine_state: not of this version");
    }
    if (proximal->step > 0) { /* else the settings say what it is */
        memcpy(&proximal->mu, from + 8, sizeof proximal->mu);
    }
    proximal->falls = trib_load_u32(from + 4);
    memcpy(&proximal->last_loss, from + 16, sizeof proximal->last_loss);
    proximal->has_loss = from[24];
    return TRIB_OK;
}

void trib_journal_put_run(struct trib_journal *journal, const struct trib_present *present, bool after_commit)
{
    struct trib_store_runs run = journal->constants;
    struct trib_round_snapshot now;
    uint8_t state[RUN_STATE_LEN];
    trib_round_recall(present->round, after_commit, &now);
    pack_state(present->proximal, state);
    run.round = now.number;
    run.attempt = now.attempt;
    run.commits = now.commits;
    run.offers = now.offers;
    run.draws = as_column(now.draws);
    run.open = now.open;
    run.decided = now.decided;
    run.threshold = now.cut.threshold;
    run.bytes_left = as_column(now.cut.bytes_left);
    run.wanted = now.wanted;
    run.selector_state = (struct trib_store_bytes){now.selector_state, now.selector_state_len};
    run.engine_state = (struct trib_store_bytes){state, sizeof state};
    run.ended = now.number > journal->options.rounds ? present->wall_ms : 0;
    trib_batch_put(&journal->batch, TRIB_STORE_runs, &run);
    journal->noted_run = (struct noted_run){.number = now.number,
                                            .attempt = now.attempt,
                                            .open = now.open,
                                            .decided = now.decided,
                                            .bytes_left = now.cut.bytes_left,
                                            .valid = true};
}

static bool run_changed(const struct trib_journal *journal, const struct trib_present *present)
{
    struct trib_round_snapshot now;
    trib_round_recall(present->round, false, &now);
    const struct noted_run *noted = &journal->noted_run;
    return !noted->valid || noted->number != now.number || noted->attempt != now.attempt || noted->open != now.open ||
           noted->decided != now.decided || (now.decided && noted->bytes_left != now.cut.bytes_left);
}

/* ---- members ---- */

/* Where a restarted server would take a member up. */
static enum trib_member_state state_to_note(const struct trib_part *part, const struct trib_member_snapshot *member)
{
    switch (member->state) {
    case TRIB_MEMBER_OFFERED:
        return TRIB_MEMBER_TASKED;
    case TRIB_MEMBER_UPLOADED:
    case TRIB_MEMBER_FOLDING:
    case TRIB_MEMBER_FOLDED:
        return part->kept ? TRIB_MEMBER_UPLOADED : TRIB_MEMBER_TASKED;
    default:
        return member->state;
    }
}

static void take_part(const struct trib_part *part, struct trib_store_members *row)
{
    row->model_version = part->task.version;
    row->model_len = part->task.model_len;
    memcpy(row->model_sha256, part->task.model_sha256, sizeof row->model_sha256);
    row->proximal_mu = part->task.proximal_mu;
    row->update_examples = as_column(part->offer_examples);
    row->update_steps = as_column(part->offer_steps);
    row->update_len = as_column(part->offer_len);
    memcpy(row->update_sha256, part->offer_sha256, sizeof row->update_sha256);
    row->lies = part->lies;
    row->weight = part->weight;
    row->folded_round = part->folded_round;
}

/* The place where it stands what is written of a member; NULL: out of memory, so that it is written again. */
static struct noted_member *noted_of(struct trib_journal *journal, uint32_t client)
{
    if (client >= journal->n_noted) {
        size_t n = (size_t)client + 1 < 16 ? 16 : ((size_t)client + 1) * 2;
        struct noted_member *noted = trib_realloc_array(journal->noted, n, sizeof *noted);
        if (!noted) {
            return NULL;
        }
        memset(noted + journal->n_noted, 0, (n - journal->n_noted) * sizeof *noted);
        journal->noted = noted;
        journal->n_noted = n;
    }
    return &journal->noted[client];
}

static void put_member(struct trib_journal *journal, const struct trib_present *present, const struct trib_part *part,
                       const struct trib_member_snapshot *member, enum trib_member_state state)
{
    struct trib_member_snapshot as_noted = *member;
    struct trib_store_members row = {0};
    as_noted.state = state;
    trib_str_copy(row.run, sizeof row.run, journal->run);
    trib_str_copy(row.node, sizeof row.node, trib_roster_node(present->roster, member->client));
    take_part(part, &row);
    trib_member_row_fill(&as_noted, &row);
    if (state == TRIB_MEMBER_UPLOADED && part->sketch) {
        row.sketch = (struct trib_store_bytes){part->sketch, journal->options.sketch_len};
    }
    trib_batch_put(&journal->batch, TRIB_STORE_members, &row);
    struct noted_member *noted = noted_of(journal, member->client);
    if (noted) {
        *noted = (struct noted_member){
            .state = (uint8_t)state, .round = member->task_round, .attempt = member->task_attempt, .valid = true};
    }
}

/* If it stands elsewhere than what is written. */
static void note_member(struct trib_journal *journal, const struct trib_present *present, uint32_t client)
{
    struct trib_member_snapshot member;
    const struct trib_part *part = trib_parts_of(present->parts, client);
    if (!part || !trib_round_recall_member(present->round, client, &member) || member.task_round == 0) {
        return; /* it has not been picked yet */
    }
    enum trib_member_state state = state_to_note(part, &member);
    const struct noted_member *noted = noted_of(journal, client);
    if (!noted || !noted->valid || noted->state != state || noted->round != member.task_round ||
        noted->attempt != member.task_attempt) {
        put_member(journal, present, part, &member, state);
    }
}

void trib_journal_note_upload(struct trib_journal *journal, const struct trib_present *present, uint32_t client)
{
    struct trib_member_snapshot member;
    const struct trib_part *part = trib_parts_of(present->parts, client);
    if (part && part->kept && trib_round_recall_member(present->round, client, &member)) {
        put_member(journal, present, part, &member, TRIB_MEMBER_UPLOADED);
    }
}

/* If it is folded: what it will be once that is committed. */
static void note_folded(struct trib_journal *journal, const struct trib_present *present, uint32_t client)
{
    struct trib_member_snapshot member;
    const struct trib_part *part = trib_parts_of(present->parts, client);
    if (part && trib_round_recall_member(present->round, client, &member) && member.state == TRIB_MEMBER_FOLDED) {
        struct trib_part after = *part;
        member.folded++;
        after.folded_round = member.task_round;
        put_member(journal, present, &after, &member, TRIB_MEMBER_NONE);
        trib_journal_put_outcome(journal, trib_roster_node(present->roster, client), member.task_round,
                                 present->wall_ms, part->weight, "folded", "");
    }
}

/* ---- now and then ---- */

/* A disk that is full or broken is not tried again and again. */
enum { NOTE_AGAIN_AFTER_MS = 1000 };

static void forget_noted(struct trib_journal *journal, int64_t now_ms)
{
    journal->noted_run.valid = false;
    for (size_t i = 0; i < journal->n_noted; i++) {
        journal->noted[i].valid = false;
    }
    journal->note_all = true;
    journal->note_all_at_ms = now_ms + NOTE_AGAIN_AFTER_MS;
}

int64_t trib_journal_due_ms(const struct trib_journal *journal)
{
    bool may = !journal->committing && !journal->writing; /* their ends wake the hub */
    return journal->note_all && may ? journal->note_all_at_ms : INT64_MAX;
}

void trib_journal_gather(struct trib_journal *journal, const struct trib_present *present)
{
    const uint32_t *changed;
    if (journal->committing) {
        return;
    }
    size_t n = trib_round_take_changed(present->round, &changed);
    for (size_t i = 0; i < n; i++) {
        note_member(journal, present, changed[i]);
    }
    for (uint32_t i = 0; journal->note_all && i < trib_roster_known(present->roster); i++) {
        note_member(journal, present, i);
    }
    journal->note_all = false;
    if (run_changed(journal, present)) {
        trib_journal_put_run(journal, present, false);
    }
}

static void take_all(struct trib_journal *journal, struct trib_batch *batch)
{
    *batch = journal->batch;
    journal->batch = (struct trib_batch){0};
}

bool trib_journal_take(struct trib_journal *journal, const struct trib_present *present, struct trib_batch *batch)
{
    bool soon_again = journal->note_all && present->now_ms < journal->note_all_at_ms;
    if (journal->writing || soon_again) { /* one transaction at a time: what happens meanwhile goes into the next */
        return false;
    }
    trib_journal_gather(journal, present);
    if (journal->batch.lost) {
        trib_log(TRIB_LOG_ERROR, "store", "notes_lost", TRIB_F_STR("reason", "out of memory"));
        trib_batch_clear(&journal->batch);
        forget_noted(journal, present->now_ms); /* and all of it once more, with what changes next */
        return false;
    }
    if (!journal->batch.first) {
        return false;
    }
    take_all(journal, batch);
    journal->writing = true;
    return true;
}

void trib_journal_take_last(struct trib_journal *journal, const struct trib_present *present, struct trib_batch *batch)
{
    trib_journal_gather(journal, present);
    take_all(journal, batch);
}

void trib_journal_batch_done(struct trib_journal *journal, bool ok, bool last, int64_t now_ms)
{
    if (!last) {
        journal->writing = false;
        if (!ok) {
            forget_noted(journal, now_ms);
        }
    }
}

void trib_journal_take_commit(struct trib_journal *journal, const struct trib_present *after,
                              const struct trib_round_record *record, int64_t began_ms, struct trib_batch *batch)
{
    trib_journal_gather(journal, after);
    size_t n;
    const uint32_t *clients = trib_round_parts(after->round, &n);
    for (size_t i = 0; i < n; i++) {
        if (trib_round_member(after->round, clients[i]) == TRIB_MEMBER_FOLDED) {
            note_folded(journal, after, clients[i]);
        }
    }
    trib_journal_put_round(journal, record, began_ms, after->wall_ms);
    trib_journal_put_run(journal, after, true);
    take_all(journal, batch);
    journal->committing = true;
}

void trib_journal_commit_done(struct trib_journal *journal, bool ok, int64_t now_ms)
{
    journal->committing = false;
    if (!ok) {
        forget_noted(journal, now_ms);
    }
}
