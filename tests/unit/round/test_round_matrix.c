/* The round engine's states and members against every event: what each takes and what it ignores. */
#include "round_fixture.h"

enum { EVENTS = TRIB_EVENT_STOP + 1 };
/* the columns of both tables */
static const char *const event_names[EVENTS] = {"JOINED",    "ELIGIBLE", "LEFT",    "PROGRESS", "OFFER",   "SCORED",
                                                "FAILURE",   "UPLOADED", "REFUSED", "FOLDED",   "APPLIED", "EVALUATED",
                                                "COMMITTED", "TICK",     "RESUME",  "STOP"};

/* The event that every cell gets; client 0 becomes ineligible by ELIGIBLE. */
static void meet(int kind)
{
    static const struct trib_score scores[] = {{.client = 0, .relevance = 0.75}, {.client = 1, .relevance = 0.5}};
    now_ms++;
    STEP(.kind = (enum trib_round_event_kind)kind, .ok = true, .examples = 10, .reason = "a reason", .relevance = 0.75,
         .eligible = kind == TRIB_EVENT_JOINED, .scores = scores, .n_scores = 2);
}

/* An ignored event as a letter: '.' nothing is said, '!' the client is told that it is late, 's' that it was skipped,
 * 'd' what it sent is thrown away. */
static char ignored_letter(void)
{
    if (n_actions == 0) {
        return '.';
    }
    ck_assert_msg(n_actions == 1, "ignored (%s), and yet: %s", ignored, asked());
    switch (actions[0].kind) {
    case TRIB_ACTION_OUTCOME:
        ck_assert_int_eq(actions[0].outcome, TRIB_OUTCOME_LATE);
        return '!';
    case TRIB_ACTION_SKIP:
        return 's';
    case TRIB_ACTION_DISCARD:
        return 'd';
    default:
        ck_abort_msg("ignored (%s), and yet: %s", ignored, asked());
    }
    return '?';
}

struct tally {
    int acted, passed, wrong;
};

/* `letter` is what the event led to, if it was not ignored. An ignored one leaves the printed state as it was. */
static void check_cell(struct tally *tally, const char *from, int kind, char letter, char expected,
                       const struct trib_buf *before)
{
    struct trib_buf after = {0};
    ck_assert_int_eq(trib_round_print(machine, &after), TRIB_OK);
    bool same = strcmp(trib_buf_text(before), trib_buf_text(&after)) == 0;
    if (letter != expected || (ignored && !same)) {
        printf("%s meets %s: %c, expected %c: %s%s%s\n", from, event_names[kind], letter, expected, asked(),
               ignored ? ", ignored: " : "", ignored ? ignored : "");
        tally->wrong++;
    }
    tally->acted += !ignored;
    tally->passed += ignored ? 1 : 0;
    trib_buf_clear(&after);
}

static void print_tally(const char *what, const struct tally *tally, int n)
{
    printf("%s: transitions driven: %d of %d (%d acted on, %d ignored)\n", what, tally->acted + tally->passed, n,
           tally->acted, tally->passed);
    ck_assert_int_eq(tally->acted + tally->passed, n);
    ck_assert_int_eq(tally->wrong, 0);
}

START_TEST(every_state_meets_every_event)
{
    static const char letters[TRIB_ROUND_STATE_COUNT + 1] = "WCDAEMF";
    static const char *const expected[TRIB_ROUND_STATE_COUNT] = {
        [TRIB_ROUND_WAITING] = "WWW.!..!.....WWF",    [TRIB_ROUND_COLLECTING] = "CCCCC.C.C....C.F",
        [TRIB_ROUND_DECIDING] = "DDDD.CD.D....D.F",   [TRIB_ROUND_APPLYING] = "AAA.......E..A.A",
        [TRIB_ROUND_EVALUATING] = "EEE........M.E.E", [TRIB_ROUND_COMMITTING] = "MMM.........WM.M",
        [TRIB_ROUND_FINISHED] = "................",
    };
    struct tally tally = {0};
    for (int from = 0; from < TRIB_ROUND_STATE_COUNT; from++) {
        char row[EVENTS + 1] = "";
        ck_assert_ptr_nonnull(expected[from]);
        for (int kind = 0; kind < EVENTS; kind++) {
            struct trib_buf before = {0};
            go_to((enum trib_round_state)from);
            ck_assert_int_eq(state(), from);
            ck_assert_int_eq(trib_round_print(machine, &before), TRIB_OK);
            meet(kind);
            row[kind] = ignored ? ignored_letter() : letters[state()];
            check_cell(&tally, trib_round_state_name((enum trib_round_state)from), kind, row[kind],
                       expected[from][kind], &before);
            trib_buf_clear(&before);
        }
        printf("%-10s %s\n", trib_round_state_name((enum trib_round_state)from), row);
    }
    print_tally("states x events", &tally, TRIB_ROUND_STATE_COUNT * EVENTS);
}
END_TEST

START_TEST(every_member_state_meets_every_event)
{
    static const char letters[TRIB_MEMBER_STATE_COUNT + 1] = "NTOAGUDFSREL";
    static const char *const expected[TRIB_MEMBER_STATE_COUNT] = {
        [TRIB_MEMBER_NONE] = "NNN.!..!.....N.N",    [TRIB_MEMBER_TASKED] = "TTTTG.E.R....T.N",
        [TRIB_MEMBER_OFFERED] = "TOTO..E.R....O.N", [TRIB_MEMBER_ADMITTED] = "TATA..E.R....A.N",
        [TRIB_MEMBER_GRANTED] = "TGTGG.EDR....G.N", [TRIB_MEMBER_UPLOADED] = "UUU.......U..U.U",
        [TRIB_MEMBER_FOLDING] = "DDD......F...D.N", [TRIB_MEMBER_FOLDED] = "FFF..........F.N",
        [TRIB_MEMBER_SKIPPED] = "SSS.s..s.....S.N", [TRIB_MEMBER_REJECTED] = "RRR.!..!.....R.N",
        [TRIB_MEMBER_FAILED] = "EEE.!..!.....E.N",  [TRIB_MEMBER_LATE] = "LLL.!..!.....L.N",
    };
    struct tally tally = {0};
    for (int from = 0; from < TRIB_MEMBER_STATE_COUNT; from++) {
        char row[EVENTS + 1] = "";
        ck_assert_ptr_nonnull(expected[from]);
        for (int kind = 0; kind < EVENTS; kind++) {
            struct trib_buf before = {0};
            member_to((enum trib_member_state)from);
            ck_assert_int_eq(trib_round_print(machine, &before), TRIB_OK);
            meet(kind);
            row[kind] = ignored ? ignored_letter() : letters[member(0)];
            ck_assert(!ignored || member(0) == (enum trib_member_state)from);
            check_cell(&tally, trib_member_state_name((enum trib_member_state)from), kind, row[kind],
                       expected[from][kind], &before);
            trib_buf_clear(&before);
        }
        printf("%-10s %s\n", trib_member_state_name((enum trib_member_state)from), row);
    }
    print_tally("members x events", &tally, TRIB_MEMBER_STATE_COUNT * EVENTS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("round_matrix");
    TCase *tests = tcase_create("matrix");
    tcase_add_checked_fixture(tests, NULL, stop);
    tcase_add_test(tests, every_state_meets_every_event);
    tcase_add_test(tests, every_member_state_meets_every_event);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
