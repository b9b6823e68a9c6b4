/* Folds: what updates weigh, and where their files stay until they are committed. */
#include "run_private.h"

#include <math.h>

/* Whose updates may come: this round's cohort, which may be small or none, and those of earlier ones. */
static uint64_t count_at_work(const struct trib_run *run)
{
    uint64_t n = 0;
    for (int state = 0; state < TRIB_MEMBER_STATE_COUNT; state++) {
        n += trib_round_is_at_work((enum trib_member_state)state)
                 ? trib_round_members_in(run->rooms.round, (enum trib_member_state)state)
                 : 0;
    }
    return n;
}

void trib_run_begin_round(struct trib_run *run)
{
    const struct trib_round_summary *s = trib_round_summary(run->rooms.round);
    run->evaluation = (struct trib_evaluation){0};
    run->train_loss_sum = 0;
    run->train_weight_sum = 0;
    run->bytes_up_before = atomic_load(run->host.bytes_up);
    run->bytes_down_before = atomic_load(run->host.bytes_down);
    trib_made_clear(&run->made);
    trib_run_tell(run, &(struct trib_fact){
                           .kind = TRIB_FACT_ROUND_STARTED, .round = s->round, .attempt = s->attempt, .summary = s});
    /* Without cohorts, clients may still come and be folded into this round. */
    uint64_t updates =
        run->rooms.settings->buffer > 0 ? trib_server_most_updates(run->rooms.settings) : count_at_work(run);
    struct trib_job *job = trib_run_job(run, TRIB_JOB_BEGIN);
    job->max_total_weight = trib_server_most_weight(run->rooms.settings, updates);
    run->host.submit(run->host.context, job);
}

/* As many as it claims, but no more than these examples can have taken. */
static uint64_t count_steps(const struct trib_server_settings *s, uint64_t claimed, uint64_t examples)
{
    uint64_t batch = (uint64_t)s->batch_size, epochs = (uint64_t)s->epochs;
    uint64_t an_epoch = examples / batch + (examples % batch > 0);
    uint64_t most = an_epoch > UINT64_MAX / epochs ? UINT64_MAX : an_epoch * epochs;
    if (s->max_steps > 0 && most > (uint64_t)s->max_steps) {
        most = (uint64_t)s->max_steps;
    }
    return claimed < most ? claimed : most;
}

/* What an update weighs before staleness. */
static uint64_t base_weight(const struct trib_run *run, const struct trib_part *part)
{
    const struct trib_server_settings *s = run->rooms.settings;
    uint64_t examples = part->offer_examples;
    uint64_t weight = s->weights == TRIB_WEIGHTS_EXAMPLES ? examples
                      : s->weights == TRIB_WEIGHTS_STEPS  ? count_steps(s, part->offer_steps, examples)
                                                          : 1;
    bool remembered = (run->rooms.strategy->caps & TRIB_STRATEGY_REMEMBERS) && part->folded_round > 0;
    return remembered ? part->weight : weight > (uint64_t)s->max_examples ? (uint64_t)s->max_examples : weight;
}

/* Its file stays until the round is committed, so that a restarted server need not ask for it again; as far as there is
 * room for that. */
static void keep_upload(struct trib_run *run, uint32_t client, struct trib_part *part, struct trib_upload *upload)
{
    if (!upload || !run->rooms.journal || part->kept) {
        return;
    }
    part->kept = run->rooms.kept_bytes + part->offer_len <= (uint64_t)run->rooms.settings->keep_uploads;
    if (part->kept) {
        const struct trib_present present = trib_run_look(run);
        run->rooms.kept_bytes += part->offer_len;
        trib_journal_note_upload(run->rooms.journal, &present, client);
    } else {
        trib_upload_unwanted(upload);
    }
}

void trib_run_let_upload_go(struct trib_run *run, uint32_t client)
{
    struct trib_part *part = trib_parts_of(&run->rooms.parts, client);
    if (part && part->kept) {
        part->kept = false;
        run->rooms.kept_bytes -= part->offer_len;
        trib_uploads_remove(run->rooms.uploads, trib_roster_node(run->rooms.roster, client), part->offer_sha256);
    }
}

void trib_run_fold(struct trib_run *run, const struct trib_round_action *action)
{
    const struct trib_server_settings *s = run->rooms.settings;
    struct trib_part *part = trib_parts_of(&run->rooms.parts, action->client);
    struct trib_job *job = trib_run_job(run, TRIB_JOB_FOLD);
    struct trib_update_info *info = &job->fold.info;
    job->client = action->client;
    job->upload = trib_uploads_take_complete(run->rooms.uploads, action->client);
    job->fold.claim = (struct trib_update_claim){.run = run->rooms.id, .task_round = action->round};
    part->weight = base_weight(run, part);
    keep_upload(run, action->client, part, job->upload);
    job->sketch = part->sketch;
    part->sketch = NULL;
    info->examples = part->offer_examples;
    info->weight = info->counted = part->weight;
    info->first = part->folded_round == 0;
    if (trib_server_may_be_stale(s)) {
        info->counted *= TRIB_WEIGHT_PARTS;
        double weight = (double)info->counted * pow(1 + (double)action->staleness, -s->staleness_power);
        info->weight = weight < 1 ? 1 : (uint64_t)llround(weight);
    }
    run->host.submit(run->host.context, job);
}
