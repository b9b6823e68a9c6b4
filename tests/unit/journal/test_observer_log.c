/* The log's lines of facts, to the byte: people and programs read them. */
#include "journal/observer.h"

#include "base/file.h"
#include "base/log.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct trib_round_summary summary = {.round = 3,
                                                  .attempt = 1,
                                                  .available = 9,
                                                  .eligible = 8,
                                                  .cohort = 7,
                                                  .offered = 6,
                                                  .uploaded = 5,
                                                  .folded = 4,
                                                  .skipped = 3,
                                                  .rejected = 2,
                                                  .failed = 1,
                                                  .late = 2,
                                                  .stale = 1,
                                                  .staleness = 2,
                                                  .scored = 4,
                                                  .relevance_sum = 2,
                                                  .threshold = 0.25,
                                                  .began_ms = 1000,
                                                  .first_offer_ms = 1500,
                                                  .closed_ms = 2500,
                                                  .applied_ms = 2600,
                                                  .evaluated_ms = 2700,
                                                  .committed_ms = 3000};
static struct trib_round_record record;
static const struct trib_offer_figures offer = {.examples = 10,
                                                .steps = 20,
                                                .len = 30,
                                                .loss = 0.5,
                                                .norm = 1.5,
                                                .seconds = 2,
                                                .codec = "f32",
                                                .codec_reason = "told"};

/* Fact and line; NULL: none. */
static const struct {
    struct trib_fact fact;
    const char *line;
} rows[] = {
    {{.kind = TRIB_FACT_NODE_REFUSED, .node = "n", .reason = "no codec"},
     "level=warn component=engine event=client_refused node=n reason=\"no codec\""},
    {{.kind = TRIB_FACT_NODE_REPLACED, .node = "n", .old_address = "a", .address = "b"},
     "level=warn component=engine event=client_replaced node=n old=a new=b"},
    {{.kind = TRIB_FACT_NODE_JOINED, .node = "n", .address = "a", .software = "s", .examples = 5, .connected = 2},
     "level=info component=engine event=client_joined node=n address=a examples=5 connected=2"},
    {{.kind = TRIB_FACT_NODE_FILTERED, .node = "n", .reason = "why"},
     "level=info component=engine event=client_filtered node=n reason=why"},
    {{.kind = TRIB_FACT_NODE_GOODBYE, .node = "n", .reason = "why"},
     "level=info component=engine event=client_goodbye node=n reason=why"},
    {{.kind = TRIB_FACT_NODE_LEFT, .node = "n", .reason = "why", .state = "tasked", .connected = 1},
     "level=info component=engine event=client_left node=n reason=why part_in_round=tasked connected=1"},
    {{.kind = TRIB_FACT_RUN_RESUMED, .run = "r", .round = 3, .version = 2, .open = true, .members = 4, .uploads = 1},
     "level=info component=store event=run_resumed run=r round=3 attempt=1 version=2 round_open=true members=4 "
     "uploads=1"},
    {{.kind = TRIB_FACT_RUN_FINISHED, .run = "r", .round = 9, .reason = "all rounds are done"},
     "level=info component=round event=run_finished run=r reason=\"all rounds are done\" rounds=9"},
    {{.kind = TRIB_FACT_ROUND_STARTED, .summary = &summary},
     "level=info component=round event=round_started round=3 attempt=2 available=9 eligible=8 cohort=7"},
    {{.kind = TRIB_FACT_ROUND_ABANDONED, .summary = &summary, .reason = "why"},
     "level=warn component=round event=round_abandoned round=3 attempt=2 reason=why cohort=7 offered=6 skipped=3 "
     "folded=4 rejected=2 failed=1 late=2"},
    {{.kind = TRIB_FACT_ROUND_ENDED, .run = "r", .record = &record},
     "level=info component=round event=round_committed run=r round=3 cohort=7 offered=6 uploaded=5 folded=4 skipped=3 "
     "rejected=2 late=2 failed=1 stale=1 staleness=0.5 relevance=0.5 threshold=0.25 mu=0.1 bytes_up=10 bytes_down=20 "
     "codec_up=up codec_down=down saved_up=490 saved_down=680 train_loss=0.75 loss=0.5 accuracy=0.25 seconds=2 "
     "seconds_train=0.5 seconds_collect=1 seconds_apply=0.1 seconds_evaluate=0.1 seconds_commit=0.3"},
    {{.kind = TRIB_FACT_TASK_SENT, .round = 3, .node = "n", .reason = "why", .version = 2, .bytes = 5, .deltas = 1},
     "level=debug component=round event=task round=3 node=n reason=why model_version=2 model_bytes=5 deltas=1"},
    {{.kind = TRIB_FACT_OFFERED, .round = 3, .node = "n", .offer = &offer, .relevance = 0.5, .relevance_error = 0.125},
     "level=debug component=round event=offer round=3 node=n examples=10 steps=20 stopped_early=false loss=0.5 "
     "norm=1.5 relevance=0.5 relevance_error=0.125 seconds=2 bytes=30 codec=f32 codec_reason=told"},
    {{.kind = TRIB_FACT_SCORED, .round = 3, .node = "n", .relevance = 0.5},
     "level=debug component=round event=scored round=3 node=n relevance=0.5"},
    {{.kind = TRIB_FACT_SELECTED, .round = 3, .node = "n", .reason = "why"},
     "level=debug component=round event=selected round=3 node=n reason=why"},
    {{.kind = TRIB_FACT_SKIPPED, .round = 3, .node = "n", .reason = "why"},
     "level=debug component=round event=skipped round=3 node=n reason=why"},
    {{.kind = TRIB_FACT_FAILED, .round = 3, .node = "n", .status = "limit", .reason = "battery", .current = true},
     "level=warn component=round event=client_failed round=3 node=n status=limit reason=battery"},
    {{.kind = TRIB_FACT_FAILED, .round = 2, .node = "n", .status = "limit", .reason = "battery"},
     "level=debug component=round event=client_failed round=2 node=n status=limit reason=battery"},
    {{.kind = TRIB_FACT_OUTCOME, .outcome = TRIB_OUTCOME_REJECTED, .round = 3, .node = "n", .reason = "why"},
     "level=warn component=round event=update_rejected round=3 node=n reason=why"},
    {{.kind = TRIB_FACT_OUTCOME,
      .outcome = TRIB_OUTCOME_LATE,
      .round = 3,
      .node = "n",
      .reason = "why",
      .current = true},
     "level=warn component=round event=client_late round=3 node=n reason=why"},
    {{.kind = TRIB_FACT_OUTCOME, .outcome = TRIB_OUTCOME_ABANDONED, .round = 3, .node = "n", .reason = "why"}, NULL},
    {{.kind = TRIB_FACT_LIED, .round = 3, .node = "n", .reason = "why", .times = 2, .rounds = 10},
     "level=warn component=round event=client_lied round=3 node=n times=2 left_out_rounds=10"},
};

START_TEST(every_fact_has_the_line_that_it_had)
{
    char path[] = "/tmp/trib-test-observer-XXXXXX";
    int fd = mkstemp(path);
    struct trib_error error;
    struct trib_buf text = {0};
    ck_assert_int_ge(fd, 0);
    close(fd);
    const struct trib_log_options options = {.level = TRIB_LOG_DEBUG, .path = path};
    ck_assert_int_eq(trib_log_open(&options, &error), TRIB_OK);
    record = (struct trib_round_record){.summary = summary,
                                        .version = 3,
                                        .bytes_up = 10,
                                        .bytes_down = 20,
                                        .raw_bytes = 100,
                                        .train_loss = 0.75,
                                        .loss = 0.5,
                                        .accuracy = 0.25,
                                        .proximal_mu = 0.1,
                                        .codec_up = "up",
                                        .codec_down = "down",
                                        .judged = true,
                                        .may_be_stale = true};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        trib_observers_tell(NULL, &rows[i].fact);
    }
    trib_log_close();
    ck_assert_int_eq(trib_file_read(path, 1 << 20, &text, &error), TRIB_OK);
    unlink(path);
    const char *at = trib_buf_text(&text);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].line) {
            continue;
        }
        const char *end = strchr(at, '\n'), *begin = strchr(at, ' ');
        ck_assert_msg(end && begin && begin < end, "no line for fact %zu", i);
        begin++; /* behind the time */
        ck_assert_msg((size_t)(end - begin) == strlen(rows[i].line) &&
                          strncmp(begin, rows[i].line, (size_t)(end - begin)) == 0,
                      "%zu: %.*s\nnot: %s", i, (int)(end - begin), begin, rows[i].line);
        at = end + 1;
    }
    ck_assert_str_eq(at, "");
    trib_buf_clear(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("observer_log");
    TCase *tcase = tcase_create("observer_log");
    tcase_add_test(tcase, every_fact_has_the_line_that_it_had);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
