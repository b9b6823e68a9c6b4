/* Turns and pure chance: round_robin and random. */
#include "select_fixture.h"

static const char turns[] = "round_robin";

static void note_picks(uint64_t round, size_t wanted)
{
    for (size_t i = 0; i < wanted; i++) {
        candidates[picks[i].candidate].last_round = round;
        candidates[picks[i].candidate].picked++;
    }
}

START_TEST(the_longest_wait_comes_first)
{
    static const uint64_t last[6] = {4, 2, 0, 5, 3, 0};
    for (size_t i = 0; i < 6; i++) {
        candidates[i].last_round = last[i];
    }
    pick(turns, 6, 6, 3);
    ck_assert_uint_eq(picks[0].candidate, 1);
    ck_assert_uint_eq(picks[1].candidate, 2);
    ck_assert_uint_eq(picks[2].candidate, 5);
    ck_assert_str_eq(picks[0].why, "has waited longest");
    ck_assert_double_eq(picks[0].score, 4);
    ck_assert_str_eq(picks[1].why, "not tried yet");
    ck_assert_double_eq(picks[1].score, 6);
    candidates[1].last_round = UINT64_MAX; /* of a round that is yet to come */
    pick(turns, 6, 6, 6);
    ck_assert_double_eq(picks[1].score, 0);
}
END_TEST

START_TEST(fewer_turns_come_first_among_equals)
{
    for (size_t i = 0; i < 6; i++) {
        candidates[i].last_round = 3;
        candidates[i].picked = i == 2 || i == 4 ? 1 : 2;
    }
    pick(turns, 4, 6, 2);
    ck_assert_uint_eq(picks[0].candidate, 2);
    ck_assert_uint_eq(picks[1].candidate, 4);
}
END_TEST

/* After any number of rounds no two differ by more than one turn. */
START_TEST(turns_are_even)
{
    bool even = true;
    for (uint64_t round = 1; round <= 300; round++) {
        pick(turns, round, 11, 4);
        note_picks(round, 4);
        uint64_t least = UINT64_MAX, most = 0;
        for (size_t i = 0; i < 11; i++) {
            least = candidates[i].picked < least ? candidates[i].picked : least;
            most = candidates[i].picked > most ? candidates[i].picked : most;
        }
        even = even && most - least <= 1;
    }
    ck_assert(even);
}
END_TEST

/* Who begins is drawn: over many rounds of newcomers each is the first equally often. */
START_TEST(equals_are_treated_alike)
{
    static const double even[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    double counts[8] = {0};
    for (uint64_t round = 1; round <= 20000; round++) {
        pick(turns, round, 8, 1);
        counts[picks[0].candidate]++;
    }
    ck_assert_double_lt(chi_square(counts, even, 8), chi_square_limit(7));
}
END_TEST

START_TEST(chance_has_no_score)
{
    pick("random", 3, 20, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert(isnan(picks[i].score));
        ck_assert_str_eq(picks[i].why, "drawn at random");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("turns");
    TCase *tcase = tcase_create("turns");
    tcase_add_checked_fixture(tcase, reset, NULL);
    tcase_add_test(tcase, the_longest_wait_comes_first);
    tcase_add_test(tcase, fewer_turns_come_first_among_equals);
    tcase_add_test(tcase, turns_are_even);
    tcase_add_test(tcase, equals_are_treated_alike);
    tcase_add_test(tcase, chance_has_no_score);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
