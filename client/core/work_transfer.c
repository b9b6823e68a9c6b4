/* Downloads and uploads that break off: smaller chunks for a bad line, and another try. */
#include "work_private.h"

enum {
    RETRY_FIRST_MS = 500, /* after a transfer broke off while the connection stands; doubles */
    MAX_FAILURES = 5      /* transfers in a row without a byte of progress */
};

void trib_work_line_is_bad(struct trib_work *work)
{
    uint32_t smaller = work->line_chunk_bytes / 8;
    work->line_chunk_bytes = smaller < TRIB_CHUNK_LEAST ? TRIB_CHUNK_LEAST : smaller;
}

void trib_work_line_is_good(struct trib_work *work)
{
    uint32_t larger = work->line_chunk_bytes * 2;
    work->line_chunk_bytes = larger > TRIB_CHUNK_PAYLOAD ? TRIB_CHUNK_PAYLOAD : larger;
}

uint32_t trib_work_line_chunk(const struct trib_work *work)
{
    return work->line_chunk_bytes < work->chunk_bytes ? work->line_chunk_bytes : work->chunk_bytes;
}

void trib_work_retry_transfer(struct trib_work *work, struct trib_turn *turn, enum trib_status status,
                              const char *reason)
{
    work->transferring = false;
    if (work->failures >= MAX_FAILURES) {
        trib_work_fail(work, turn, status, reason);
        return;
    }
    int64_t wait_ms = (int64_t)RETRY_FIRST_MS << work->failures;
    work->failures++;
    if (!work->confirmed) {
        return; /* the task's next arrival resumes it */
    }
    work->retry_at_ms = turn->now_ms + wait_ms;
    TRIB_REPORT(turn, TRIB_LOG_WARN, work->phase == TRIB_WORK_DOWNLOADING ? "download_broken" : "upload_broken",
                TRIB_F_INT("round", work->task.round), TRIB_F_STR("status", trib_status_name(status)),
                TRIB_F_STR("reason", reason), TRIB_F_REAL("retry_seconds", (double)wait_ms / 1000));
}
