/* Error feedback in the session: read from the task, settled by the outcome, told in the offer. */
#include "harness.h"

/* With the task of round 1 trained and waiting for its outcome. */
static void wait_for_outcome(struct harness *h, const char *feedback)
{
    start(h, TRIB_STATE_IDLE);
    task_with(h, (struct task_options){.round = 1, .feedback = feedback, .momentum = 0.5});
    ck_assert_did(h, "D");
    downloaded(h, TRIB_OK, MODEL_LEN);
    ck_assert_did(h, "T");
    trained(h);
    decision(h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
    uploaded(h, TRIB_OK, true, TRIB_OK);
    ck_assert_state(h, TRIB_STATE_WAITING_OUTCOME);
}

START_TEST(an_outcome_is_told_to_whom_it_concerns)
{
    static const struct {
        const char *feedback;
        Tributary__V1__Outcome__Kind kind;
        const char *did;
        bool folded;
    } cases[] = {{"ef", TRIBUTARY__V1__OUTCOME__KIND__FOLDED, "s", true},
                 {"dgc", TRIBUTARY__V1__OUTCOME__KIND__SKIPPED, "", false},
                 {"ef21", TRIBUTARY__V1__OUTCOME__KIND__REJECTED, "", false},
                 {"ef", TRIBUTARY__V1__OUTCOME__KIND__LATE, "", false},
                 {"ef", TRIBUTARY__V1__OUTCOME__KIND__ABANDONED, "", false},
                 {"none", TRIBUTARY__V1__OUTCOME__KIND__FOLDED, "", false},
                 {"", TRIBUTARY__V1__OUTCOME__KIND__FOLDED, "", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct harness h;
        wait_for_outcome(&h, cases[i].feedback);
        outcome(&h, 2, cases[i].kind); /* not of this round */
        ck_assert_did(&h, "");
        outcome(&h, 1, cases[i].kind);
        ck_assert_did(&h, cases[i].did);
        ck_assert_int_eq(h.folded, cases[i].folded);
        ck_assert_state(&h, TRIB_STATE_IDLE);
        teardown(&h);
    }
}
END_TEST

START_TEST(a_kind_that_is_not_known_is_refused_by_name)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    task_with(&h, (struct task_options){.round = 1, .feedback = "ef99"});
    ck_assert_did(&h, "S");
    ck_assert_sent(&h, FAILURE);
    ck_assert_str_eq(h.sent->failure->status, "unsupported");
    ck_assert_ptr_nonnull(strstr(h.sent->failure->reason, "ef99"));
    task_with(&h, (struct task_options){.round = 1, .feedback = "dgc", .momentum = 1});
    ck_assert_sent(&h, FAILURE);
    ck_assert_str_eq(h.sent->failure->status, "invalid");
    teardown(&h);
}
END_TEST

START_TEST(another_feedback_is_another_task)
{
    static const struct {
        struct task_options again;
        const char *did;
    } cases[] = {{{.round = 1, .feedback = "dgc", .momentum = 0.5}, ""},
                 {{.round = 1, .feedback = "dgc", .momentum = 0.5, .folded_round = 3}, ""},
                 {{.round = 1, .feedback = "dgc", .momentum = 0.6}, "wD"},
                 {{.round = 1, .feedback = "ef", .momentum = 0.5}, "wD"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct harness h;
        start(&h, TRIB_STATE_IDLE);
        task_with(&h, (struct task_options){.round = 1, .feedback = "dgc", .momentum = 0.5});
        downloaded(&h, TRIB_OK, MODEL_LEN);
        disconnected(&h);
        register_again(&h);
        task_with(&h, cases[i].again);
        ck_assert_did(&h, cases[i].did);
        teardown(&h);
    }
}
END_TEST

START_TEST(the_offer_says_which_state_it_was_made_from)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    task_with(&h, (struct task_options){.round = 9, .feedback = "ef21", .folded_round = 7});
    downloaded(&h, TRIB_OK, MODEL_LEN);
    h.feedback_round = 7;
    trained(&h);
    ck_assert_sent(&h, OFFER);
    ck_assert_uint_eq(h.sent->offer->feedback_round, 7);
    teardown(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_feedback");
    TCase *tests = tcase_create("session_feedback");
    tcase_add_test(tests, an_outcome_is_told_to_whom_it_concerns);
    tcase_add_test(tests, a_kind_that_is_not_known_is_refused_by_name);
    tcase_add_test(tests, another_feedback_is_another_task);
    tcase_add_test(tests, the_offer_says_which_state_it_was_made_from);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
