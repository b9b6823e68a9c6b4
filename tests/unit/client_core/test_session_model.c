/* The session on its way to a task's model: by deltas, one blob after the other, across lost connections, and back to
 * the whole model when that leads nowhere. */
#include "harness.h"

/* In the worker's hands from the next TRAINED on. */
static void hold(struct harness *h, uint64_t version, const char *run)
{
    h->held = (struct trib_held_model){.version = version};
    snprintf(h->held.run, sizeof h->held.run, "%s", run);
    memset(h->held.sha256, (int)version + 200, sizeof h->held.sha256);
}

/* A session that has done round 1 and holds the model of that version. */
static void start_holding(struct harness *h, uint64_t version, const char *run)
{
    start(h, TRIB_STATE_TRAINING);
    hold(h, version, run);
    trained(h);
    outcome(h, 1, TRIBUTARY__V1__OUTCOME__KIND__LATE);
    ck_assert_state(h, TRIB_STATE_IDLE);
}

static const char *kind_of(const struct harness *h, const char *kind)
{
    return strstr(h->texts, kind);
}

START_TEST(deltas_come_one_after_the_other)
{
    struct harness h;
    start_holding(&h, 3, RUN);
    task_with(&h, (struct task_options){.round = 6, .version = 5, .n_deltas = 4});
    for (uint8_t blob = 13; blob <= 14; blob++) {
        ck_assert_did(&h, "D");
        ck_assert_uint_eq(h.blob, blob);
        ck_assert_uint_eq(h.len, DELTA_LEN);
        ck_assert_uint_eq(h.offset, 0);
        downloaded(&h, TRIB_OK, DELTA_LEN);
    }
    ck_assert_did(&h, "T");
    ck_assert_reported(&h, "downloaded");
    ck_assert_ptr_nonnull(kind_of(&h, "kind=chain;"));
    teardown(&h);
}
END_TEST

START_TEST(a_broken_chain_keeps_what_has_arrived)
{
    struct harness h;
    start_holding(&h, 3, RUN);
    task_with(&h, (struct task_options){.round = 6, .version = 5, .n_deltas = 2});
    downloaded(&h, TRIB_OK, DELTA_LEN);
    ck_assert_uint_eq(h.blob, 14);
    disconnected(&h);
    ck_assert_did(&h, "t");
    downloaded(&h, TRIB_CANCELLED, 40);
    register_again(&h);
    task_with(&h, (struct task_options){.round = 6, .version = 5, .n_deltas = 5}); /* another list, the same task */
    ck_assert_did(&h, "D");
    ck_assert_reported(&h, "task_resumed");
    ck_assert_uint_eq(h.blob, 14);
    ck_assert_uint_eq(h.offset, 40);
    downloaded(&h, TRIB_OK, DELTA_LEN);
    ck_assert_did(&h, "T");
    teardown(&h);
}
END_TEST

START_TEST(nothing_is_downloaded_that_is_held_or_can_be_made)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    task_with(&h, (struct task_options){.round = 1, .initialisation = true});
    ck_assert_did(&h, "T");
    ck_assert_ptr_nonnull(kind_of(&h, "kind=initialised;"));
    hold(&h, 0, RUN);
    memset(h.held.sha256, 7, sizeof h.held.sha256); /* the harness's model */
    trained(&h);
    outcome(&h, 1, TRIBUTARY__V1__OUTCOME__KIND__ABANDONED);
    task_with(&h, (struct task_options){.round = 1, .seed = 43});
    ck_assert_did(&h, "T");
    ck_assert_ptr_nonnull(kind_of(&h, "kind=held;"));
    teardown(&h);
}
END_TEST

START_TEST(a_held_model_of_no_use_is_dropped)
{
    struct harness h;
    start_holding(&h, 3, "run-0");
    task_with(&h, (struct task_options){.round = 6, .version = 5, .n_deltas = 5, .initialisation = true});
    ck_assert_did(&h, "mD");
    ck_assert_reported(&h, "held_model_dropped");
    ck_assert_ptr_nonnull(strstr(h.texts, "run=run-0;reason=the run changed;"));
    ck_assert_uint_eq(h.blob, 10); /* from version 0 */
    teardown(&h);
    start_holding(&h, 3, RUN);
    task_with(&h, (struct task_options){.round = 6, .version = 5, .n_deltas = 1});
    ck_assert_did(&h, "mD");
    ck_assert_uint_eq(h.len, MODEL_LEN);
    teardown(&h);
}
END_TEST

START_TEST(a_delta_that_is_gone_leads_to_the_whole_model)
{
    struct harness h;
    start_holding(&h, 3, RUN);
    task_with(&h, (struct task_options){.round = 6, .version = 5, .n_deltas = 2});
    downloaded(&h, TRIB_OK, DELTA_LEN);
    downloaded(&h, TRIB_NOT_FOUND, 0);
    ck_assert_did(&h, "wmD"); /* and the first delta goes, and what it was to be added to */
    ck_assert_reported(&h, "deltas_unusable");
    ck_assert_uint_eq(h.len, MODEL_LEN);
    downloaded(&h, TRIB_NOT_FOUND, 0); /* there is no other way left */
    ck_assert_sent(&h, FAILURE);
    ck_assert_state(&h, TRIB_STATE_IDLE);
    teardown(&h);
}
END_TEST

static void unusable(struct harness *h)
{
    struct trib_session_event *event = event_of(TRIB_SESSION_TRAINED, h->job, TRIB_MISMATCH, "another model");
    event->model_unusable = true;
    give(h, event);
}

START_TEST(deltas_that_lead_elsewhere_lead_to_the_whole_model)
{
    struct harness h;
    start_holding(&h, 4, RUN);
    task_with(&h, (struct task_options){.round = 6, .version = 5, .n_deltas = 1});
    downloaded(&h, TRIB_OK, DELTA_LEN);
    unusable(&h);
    ck_assert_did(&h, "D");
    ck_assert_reported(&h, "deltas_unusable");
    ck_assert_state(&h, TRIB_STATE_DOWNLOADING);
    ck_assert_uint_eq(h.len, MODEL_LEN);
    downloaded(&h, TRIB_OK, MODEL_LEN);
    ck_assert_did(&h, "T");
    ck_assert_ptr_nonnull(kind_of(&h, "kind=whole;"));
    unusable(&h); /* nothing shorter was tried: the task has failed */
    ck_assert_sent(&h, FAILURE);
    teardown(&h);
}
END_TEST

START_TEST(the_whole_model_waits_for_the_connection)
{
    struct harness h;
    start_holding(&h, 4, RUN);
    task_with(&h, (struct task_options){.round = 6, .version = 5, .n_deltas = 1});
    downloaded(&h, TRIB_OK, DELTA_LEN);
    disconnected(&h);
    unusable(&h);
    ck_assert_did(&h, "");
    register_again(&h);
    task_with(&h, (struct task_options){.round = 6, .version = 5, .n_deltas = 1});
    ck_assert_did(&h, "D");
    ck_assert_uint_eq(h.len, MODEL_LEN);
    teardown(&h);
}
END_TEST

/* The training of a task that was replaced ends late: it may have changed what is held. */
START_TEST(late_news_of_what_is_held_counts)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    uint64_t stale = h.job;
    task(&h, 2);
    ck_assert_did(&h, "wD");
    struct trib_session_event *event = event_of(TRIB_SESSION_TRAINED, stale, TRIB_CANCELLED, "");
    hold(&h, 4, RUN);
    event->held = h.held;
    give(&h, event);
    ck_assert_did(&h, "");
    outcome(&h, 2, TRIBUTARY__V1__OUTCOME__KIND__LATE);
    task_with(&h, (struct task_options){.round = 6, .version = 5, .n_deltas = 1});
    ck_assert_did(&h, "D");
    ck_assert_uint_eq(h.blob, 14);
    teardown(&h);
}
END_TEST

static void refused(struct harness *h, struct task_options options, const char *words)
{
    options.round = 6;
    task_with(h, options);
    ck_assert_sent(h, FAILURE);
    ck_assert_str_eq(h->sent->failure->status, "protocol");
    ck_assert_msg(strstr(h->sent->failure->reason, words), "%s", h->sent->failure->reason);
}

START_TEST(deltas_that_cannot_be_are_refused)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    refused(&h, (struct task_options){.version = 5, .n_deltas = 2, .gap = true}, "do not lead to its model, version 5");
    refused(&h, (struct task_options){.version = 1, .n_deltas = 3}, "do not lead to its model, version 1");
    refused(&h, (struct task_options){.version = 5, .n_deltas = 2, .short_delta_hash = true}, "delta hash");
    refused(&h, (struct task_options){.version = 5, .n_deltas = 2, .empty_delta = true}, "no possible length");
    teardown(&h);
    start_holding(&h, 190, RUN); /* of a long list the newest count */
    task_with(&h, (struct task_options){.round = 6, .version = 192, .n_deltas = 192});
    ck_assert_did(&h, "D");
    ck_assert_uint_eq(h.blob, 200);
    teardown(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_model");
    TCase *tests = tcase_create("session_model");
    tcase_add_test(tests, deltas_come_one_after_the_other);
    tcase_add_test(tests, a_broken_chain_keeps_what_has_arrived);
    tcase_add_test(tests, nothing_is_downloaded_that_is_held_or_can_be_made);
    tcase_add_test(tests, a_held_model_of_no_use_is_dropped);
    tcase_add_test(tests, a_delta_that_is_gone_leads_to_the_whole_model);
    tcase_add_test(tests, deltas_that_lead_elsewhere_lead_to_the_whole_model);
    tcase_add_test(tests, the_whole_model_waits_for_the_connection);
    tcase_add_test(tests, late_news_of_what_is_held_counts);
    tcase_add_test(tests, deltas_that_cannot_be_are_refused);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
