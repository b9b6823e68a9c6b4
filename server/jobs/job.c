/* Each kind of job is done here. */
#include "jobs/job.h"

#include "base/mem.h"

#include <string.h>

bool trib_job_is_disk(enum trib_job_kind kind)
{
    return kind == TRIB_JOB_COMMIT || kind == TRIB_JOB_NOTE;
}

static enum trib_status begin(struct trib_job *job)
{
    return trib_aggregate_begin(job->aggregate, job->max_total_weight, &job->error);
}

static enum trib_status fold(struct trib_job *job)
{
    if (!job->upload) {
        return trib_fail(&job->error, TRIB_NOT_FOUND, "the upload is gone");
    }
    job->fold.source = trib_upload_source(job->upload);
    job->fold.upload = job->upload;
    job->fold.claim.sketch = job->sketch;
    return trib_aggregate_fold(job->aggregate, &job->fold, &job->folded, &job->error);
}

static enum trib_status apply(struct trib_job *job)
{
    return trib_aggregate_apply(job->aggregate, &job->base, &job->made, &job->error);
}

static enum trib_status evaluate(struct trib_job *job)
{
    return trib_aggregate_evaluate(job->aggregate, &job->made.version, &job->evaluation, &job->error);
}

static enum trib_status settle(struct trib_job *job)
{
    trib_aggregate_commit(job->aggregate);
    return TRIB_OK;
}

static enum trib_status commit(struct trib_job *job)
{
    const struct trib_commit commit = {
        .made = &job->made, .round = job->round, .updates = job->updates, .wall_ms = job->wall_ms};
    return job->journal ? trib_journal_commit(job->journal, &commit, &job->batch, &job->doubtful, &job->error)
                        : TRIB_OK;
}

static enum trib_status note(struct trib_job *job)
{
    return trib_journal_write(job->journal, &job->batch, job->durable, &job->doubtful, &job->error);
}

void trib_job_do(struct trib_job *job)
{
    static enum trib_status (*const kinds[])(struct trib_job *) = {
        [TRIB_JOB_BEGIN] = begin,       [TRIB_JOB_FOLD] = fold,     [TRIB_JOB_APPLY] = apply,
        [TRIB_JOB_EVALUATE] = evaluate, [TRIB_JOB_SETTLE] = settle, [TRIB_JOB_COMMIT] = commit,
        [TRIB_JOB_NOTE] = note,
    };
    job->error.message[0] = 0;
    enum trib_status status = kinds[job->kind](job);
    job->ok = status == TRIB_OK;
    if (!job->ok && !job->error.message[0]) {
        (void)trib_fail(&job->error, status, "%s", trib_status_text(status));
    }
    trib_upload_unref(job->upload);
    job->upload = NULL;
    trib_free(job->sketch);
    job->sketch = NULL;
    trib_batch_clear(&job->batch);
}

void trib_job_clear(struct trib_job *job)
{
    trib_upload_unref(job->upload);
    trib_free(job->sketch);
    trib_batch_clear(&job->batch);
    trib_version_clear(&job->base);
    trib_made_clear(&job->made);
    memset(job, 0, sizeof *job);
}
