/* The round engine's states and members against every event: what each takes and what it ignores. */
#include "round_fixture.h"

/* ---- the matrix of states ---- */

enum { EVENTS = TRIB_EVENT_STOP + 1 };
static const char *const event_names[EVENTS] = {"JOINED",    "LEFT",    "PROGRESS", "OFFER",   "FAILURE",
                                                "UPLOADED",  "REFUSED", "FOLDED",   "APPLIED", "EVALUATED",
                                                "COMMITTED", "TICK",    "STOP"};

/* The last step as one letter: the state it led to, '.' ignored, 'L' ignored and the client told that it is late. */
static char state_letter(void)
{
    if (ignored) {
        bool told = n_actions == 1 && actions[0].kind == TRIB_ACTION_OUTCOME && actions[0].outcome == TRIB_OUTCOME_LATE;
        ck_assert_msg(told || n_actions == 0, "ignored (%s), and yet: %s", ignored, asked());
        return told ? 'L' : '.';
    }
    return "WCAEMF"[state()];
}

START_TEST(every_state_meets_every_event)
{
    /* columns as event_names; client 0 is tasked while the round collects and folded later */
    static const char *const expected[TRIB_ROUND_STATE_COUNT] = {
        [TRIB_ROUND_WAITING] = "WW.L.L.....WF",    [TRIB_ROUND_COLLECTING] = "CCCCC.C....CF",
        [TRIB_ROUND_APPLYING] = "AA......E..AA",   [TRIB_ROUND_EVALUATING] = "EE.......M.EE",
        [TRIB_ROUND_COMMITTING] = "MM........WMM", [TRIB_ROUND_FINISHED] = ".............",
    };
    int acted = 0, passed = 0;
    for (int from = 0; from < TRIB_ROUND_STATE_COUNT; from++) {
        char row[EVENTS + 1] = "";
        for (int kind = 0; kind < EVENTS; kind++) {
            go_to((enum trib_round_state)from);
            ck_assert_int_eq(state(), from);
            now_ms++;
            STEP(.kind = (enum trib_round_event_kind)kind, .ok = true, .examples = 10, .reason = "a reason");
            row[kind] = state_letter();
            ck_assert_msg(row[kind] == expected[from][kind], "%s meets %s: %c, expected %c (%s)",
                          trib_round_state_name((enum trib_round_state)from), event_names[kind], row[kind],
                          expected[from][kind], asked());
            acted += !ignored;
            passed += ignored != NULL;
        }
        printf("%-10s %s\n", trib_round_state_name((enum trib_round_state)from), row);
    }
    printf("states x events: %d acted on, %d ignored, %d of %d driven\n", acted, passed, acted + passed,
           TRIB_ROUND_STATE_COUNT * EVENTS);
    ck_assert_int_eq(acted + passed, TRIB_ROUND_STATE_COUNT * EVENTS);
}
END_TEST

/* ---- the matrix of members ---- */

START_TEST(every_member_state_meets_every_event)
{
    static const char letters[] = "NTOGDFSRXL";
    static const char *const expected[TRIB_MEMBER_STATE_COUNT] = {
        [TRIB_MEMBER_NONE] = "NN.l.l.....NN",
        [TRIB_MEMBER_TASKED] = "TTTGX.R....TN",
        [TRIB_MEMBER_OFFERED] = "TTO.X.R....ON",
        [TRIB_MEMBER_GRANTED] = "TTGGXDR....GN",
        [TRIB_MEMBER_FOLDING] = "DD.....F...DN",
        [TRIB_MEMBER_FOLDED] = "FF.........FN",
        [TRIB_MEMBER_SKIPPED] = NULL, /* no selector decides yet: not reachable */
        [TRIB_MEMBER_REJECTED] = "RR.........RN",
        [TRIB_MEMBER_FAILED] = "XX.........XN",
        [TRIB_MEMBER_LATE] = "LL.l.l.....LN",
    };
    int acted = 0, passed = 0;
    for (int from = 0; from < TRIB_MEMBER_STATE_COUNT; from++) {
        char row[EVENTS + 1] = "";
        for (int kind = 0; expected[from] && kind < EVENTS; kind++) {
            member_to((enum trib_member_state)from);
            ck_assert_int_eq(trib_round_member(machine, 0), from);
            now_ms++;
            STEP(.kind = (enum trib_round_event_kind)kind, .ok = true, .examples = 10, .reason = "a reason");
            char letter = ignored ? state_letter() : letters[trib_round_member(machine, 0)];
            row[kind] = ignored && letter == 'L' ? 'l' : letter;
            ck_assert_msg(row[kind] == expected[from][kind], "a client that is %s meets %s: %c, expected %c (%s)",
                          trib_member_state_name((enum trib_member_state)from), event_names[kind], row[kind],
                          expected[from][kind], asked());
            ck_assert(!ignored || trib_round_member(machine, 0) == (enum trib_member_state)from);
            acted += !ignored;
            passed += ignored != NULL;
        }
        printf("%-10s %s\n", trib_member_state_name((enum trib_member_state)from), row);
    }
    printf("members x events: %d acted on, %d ignored, %d of %d driven (skipped is not reachable)\n", acted, passed,
           acted + passed, (TRIB_MEMBER_STATE_COUNT - 1) * EVENTS);
    ck_assert_int_eq(acted + passed, (TRIB_MEMBER_STATE_COUNT - 1) * EVENTS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round");
    TCase *tests = tcase_create("matrix");
    tcase_add_test(tests, every_state_meets_every_event);
    tcase_add_test(tests, every_member_state_meets_every_event);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
