/* A member on its way through a restart: recalled from a round engine, made a row, kept by a store, read, made a
 * snapshot, restored. Every field survives; the numbers and names that records hold are those of every release. */
#include "store/member_row.h"

#include "base/rng.h"
#include "base/str.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLIENT = 5, ROUNDS = 2000 };
static const char node[] = "harbour-5";

static enum trib_status pick_none(void *own, const struct trib_selection *selection, struct trib_pick *picked)
{
    (void)own;
    (void)selection;
    (void)picked;
    return TRIB_NO_MEMORY;
}
static const struct trib_selector never_asked = {.name = "never_asked", .pick = pick_none};

static struct trib_error error;

/* ---- every field ---- */

/* Distinct, none zero, and lawful for a round as far on as below; SKIPPED stays what it is while the round is open. */
static struct trib_member_snapshot distinct_member(void)
{
    struct trib_member_snapshot member = {.client = CLIENT};
    uint64_t next = 0;
#define TRIB_MEMBER_STATE(name)  member.name = TRIB_MEMBER_SKIPPED;
#define TRIB_MEMBER_NUMBER(name) member.name = 100 + ++next;
#define TRIB_MEMBER_REAL(name)   member.name = 0.25 + (double)++next;
#define TRIB_MEMBER_FLAGS(name)
#define TRIB_MEMBER_FLAG(name, bit) member.name = true;
#define TRIB_MEMBER_KEY(name)       member.name = trib_hash64(node, strlen(node), 0);
#include "round/member_fields.def"
    return member;
}

static const char *difference(const struct trib_member_snapshot *a, const struct trib_member_snapshot *b)
{
#define TRIB_MEMBER_FIELD(type, name)                                                                                  \
    if (memcmp(&a->name, &b->name, sizeof(type)) != 0) {                                                               \
        return #name;                                                                                                  \
    }
#include "round/member_fields.def"
    return a->client == b->client ? NULL : "client";
}

/* An engine that was told of this member, amid a round. */
static struct trib_round *engine_with(const struct trib_member_snapshot *member)
{
    const struct trib_round_options options = {.rounds = ROUNDS,
                                               .first_round = 1,
                                               .over_selection = 1,
                                               .min_updates = 1,
                                               .uploads_in_flight = 1,
                                               .idle_timeout_ms = 1000,
                                               .evaluate_every = 1,
                                               .max_staleness = ROUNDS,
                                               .selector = &never_asked,
                                               .outlives = true};
    const struct trib_round_snapshot snapshot = {
        .number = ROUNDS - 1, .attempt = ROUNDS, .commits = ROUNDS - 2, .open = true, .wanted = 1};
    struct trib_round *engine = NULL;
    ck_assert_int_eq(trib_round_new(&options, &engine, &error), TRIB_OK);
    ck_assert_msg(trib_round_restore(engine, &snapshot, member, 1, &error) == TRIB_OK, "%s", error.message);
    return engine;
}

/* Into a store of this kind, and out of it when it was opened anew, if it is one that outlives that. */
static struct trib_store_members through_store(const struct trib_store_backend *backend,
                                               const struct trib_store_members *row)
{
    char dir[] = "/tmp/trib-test-member-XXXXXX", path[64];
    struct trib_store_members found = {0};
    struct trib_store *store = NULL;
    bool is_there = false;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/state.db", dir);
    ck_assert_msg(trib_store_open(backend, path, &store, &error) == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(trib_store_begin(store, &error), TRIB_OK);
    ck_assert_msg(trib_store_put(store, TRIB_STORE_members, row, &error) == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(trib_store_end(store, true, NULL, &error), TRIB_OK);
    if (backend->persistent) {
        trib_store_close(store);
        ck_assert_int_eq(trib_store_open(backend, path, &store, &error), TRIB_OK);
    }
    trib_str_copy(found.run, sizeof found.run, row->run);
    trib_str_copy(found.node, sizeof found.node, row->node);
    ck_assert_int_eq(trib_store_get(store, TRIB_STORE_members, &found, &is_there, &error), TRIB_OK);
    ck_assert(is_there);
    trib_store_close(store);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
    found.sketch = (struct trib_store_bytes){0};
    return found;
}

static struct trib_member_snapshot through_restart(const struct trib_store_backend *backend,
                                                   const struct trib_member_snapshot *member)
{
    struct trib_store_members row = {0};
    struct trib_member_snapshot told, read, after;
    trib_str_copy(row.run, sizeof row.run, "run-1");
    trib_str_copy(row.node, sizeof row.node, node);
    struct trib_round *engine = engine_with(member);
    ck_assert(trib_round_recall_member(engine, CLIENT, &told));
    trib_round_free(engine);
    trib_member_row_fill(&told, &row);
    const struct trib_store_members found = through_store(backend, &row);
    ck_assert_msg(trib_member_row_read(&found, CLIENT, &read, &error) == TRIB_OK, "%s", error.message);
    engine = engine_with(&read);
    ck_assert(trib_round_recall_member(engine, CLIENT, &after));
    trib_round_free(engine);
    return after;
}

START_TEST(every_field_survives_a_restart)
{
    const struct trib_store_backend *const *backends;
    size_t n = trib_store_backends(&backends);
    for (size_t i = 0; i < n; i++) {
        struct trib_member_snapshot member = distinct_member();
        struct trib_member_snapshot after = through_restart(backends[i], &member);
        const char *field = difference(&member, &after);
        ck_assert_msg(!field, "%s: %s is not what it was", backends[i]->name, field);
        ck_assert_uint_ne(after.barred_until, 0);
        ck_assert_uint_ne(after.skipped_in_row, 0);
        ck_assert_uint_ne(after.barred_until, after.skipped_in_row);
    }
}
END_TEST

START_TEST(every_flag_survives_alone)
{
    const struct trib_store_backend *backend = trib_store_backend_find("memory");
    size_t flags = 0;
#define TRIB_MEMBER_STATE(name)
#define TRIB_MEMBER_NUMBER(name)
#define TRIB_MEMBER_REAL(name)
#define TRIB_MEMBER_FLAGS(name)
#define TRIB_MEMBER_FLAG(name_, bit)                                                                                   \
    {                                                                                                                  \
        struct trib_member_snapshot member = distinct_member();                                                        \
        member.admitted = member.has_offered = member.has_score = false;                                               \
        member.name_ = true;                                                                                           \
        struct trib_member_snapshot after = through_restart(backend, &member);                                         \
        ck_assert_msg(!difference(&member, &after), "%s", #name_);                                                     \
        flags++;                                                                                                       \
    }
#define TRIB_MEMBER_KEY(name)
#include "round/member_fields.def"
    ck_assert_uint_eq(flags, 3);
}
END_TEST

START_TEST(what_is_unknown_stays_unknown)
{
    struct trib_member_snapshot member = distinct_member();
    member.loss = member.seconds = member.relevance = (double)NAN;
    member.offer_loss = member.offer_seconds = member.offer_relevance = member.admitted_relevance = (double)NAN;
    struct trib_member_snapshot after = through_restart(trib_store_backend_find("sqlite"), &member);
    ck_assert(isnan(after.loss) && isnan(after.seconds) && isnan(after.relevance));
    ck_assert(isnan(after.offer_loss) && isnan(after.offer_seconds) && isnan(after.offer_relevance));
    ck_assert(isnan(after.admitted_relevance));
}
END_TEST

START_TEST(a_number_that_no_column_holds_becomes_the_largest)
{
    struct trib_member_snapshot member = distinct_member();
    member.barred_until = member.examples = UINT64_MAX;
    struct trib_member_snapshot after = through_restart(trib_store_backend_find("sqlite"), &member);
    ck_assert_uint_eq(after.barred_until, INT64_MAX);
    ck_assert_uint_eq(after.examples, INT64_MAX);
}
END_TEST

START_TEST(a_state_that_does_not_exist_is_refused)
{
    static const uint64_t wrong[] = {12, 255, UINT64_C(1) << 32, INT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct trib_store_members row = {.state = wrong[i]};
        struct trib_member_snapshot member;
        trib_str_copy(row.node, sizeof row.node, node);
        ck_assert_int_eq(trib_member_row_read(&row, CLIENT, &member, &error), TRIB_CORRUPT);
        ck_assert_ptr_nonnull(strstr(error.message, "members.state of harbour-5: "));
    }
}
END_TEST

/* ---- what records hold never changes ---- */

START_TEST(the_columns_are_those_of_every_release)
{
    static const char *const columns[] = {"run",
                                          "node",
                                          "state",
                                          "task_round",
                                          "task_attempt",
                                          "task_commits",
                                          "flags",
                                          "examples",
                                          "last_round",
                                          "barred_until",
                                          "offer_order",
                                          "bytes",
                                          "offer_loss",
                                          "offer_seconds",
                                          "offer_relevance",
                                          "admitted_relevance",
                                          "admitted_bytes",
                                          "picked",
                                          "folded",
                                          "skipped",
                                          "skipped_in_row",
                                          "failed",
                                          "loss",
                                          "seconds",
                                          "relevance",
                                          "model_version",
                                          "model_len",
                                          "model_sha256",
                                          "proximal_mu",
                                          "update_examples",
                                          "update_steps",
                                          "update_len",
                                          "update_sha256",
                                          "sketch",
                                          "lies",
                                          "weight",
                                          "folded_round"};
    const struct trib_store_layout *layout = trib_store_layout(TRIB_STORE_members);
    ck_assert_uint_eq(layout->n_columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < layout->n_columns; i++) {
        ck_assert_str_eq(layout->columns[i].name, columns[i]);
    }
}
END_TEST

START_TEST(the_states_numbers_are_those_of_every_release)
{
    static const struct {
        enum trib_member_state state;
        uint64_t stored;
        const char *name;
    } rows[] = {{TRIB_MEMBER_NONE, 0, "none"},       {TRIB_MEMBER_TASKED, 1, "tasked"},
                {TRIB_MEMBER_OFFERED, 2, "offered"}, {TRIB_MEMBER_ADMITTED, 3, "admitted"},
                {TRIB_MEMBER_GRANTED, 4, "granted"}, {TRIB_MEMBER_UPLOADED, 5, "uploaded"},
                {TRIB_MEMBER_FOLDING, 6, "folding"}, {TRIB_MEMBER_FOLDED, 7, "folded"},
                {TRIB_MEMBER_SKIPPED, 8, "skipped"}, {TRIB_MEMBER_REJECTED, 9, "rejected"},
                {TRIB_MEMBER_FAILED, 10, "failed"},  {TRIB_MEMBER_LATE, 11, "late"}};
    ck_assert_uint_eq(sizeof rows / sizeof rows[0], TRIB_MEMBER_STATE_COUNT);
    for (size_t i = 0; i < TRIB_MEMBER_STATE_COUNT; i++) {
        enum trib_member_state state = TRIB_MEMBER_STATE_COUNT;
        ck_assert_uint_eq(trib_member_state_stored(rows[i].state), rows[i].stored);
        ck_assert(trib_member_state_find(rows[i].stored, &state));
        ck_assert_int_eq(state, rows[i].state);
        ck_assert_str_eq(trib_member_state_name(rows[i].state), rows[i].name);
    }
}
END_TEST

START_TEST(the_flags_bits_are_those_of_every_release)
{
    struct trib_store_members row = {0};
    trib_member_row_fill(&(struct trib_member_snapshot){.admitted = true}, &row);
    ck_assert_uint_eq(row.flags, 1);
    trib_member_row_fill(&(struct trib_member_snapshot){.has_offered = true}, &row);
    ck_assert_uint_eq(row.flags, 2);
    trib_member_row_fill(&(struct trib_member_snapshot){.has_score = true}, &row);
    ck_assert_uint_eq(row.flags, 4);
}
END_TEST

START_TEST(the_outcomes_are_those_of_every_release)
{
    static const char *const names[] = {"folded", "skipped", "rejected", "late", "abandoned"};
    static const enum trib_outcome outcomes[] = {TRIB_OUTCOME_FOLDED, TRIB_OUTCOME_SKIPPED, TRIB_OUTCOME_REJECTED,
                                                 TRIB_OUTCOME_LATE, TRIB_OUTCOME_ABANDONED};
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(outcomes[i], i);
        ck_assert_str_eq(trib_outcome_name(outcomes[i]), names[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("member_row");
    TCase *tests = tcase_create("fields");
    tcase_add_test(tests, every_field_survives_a_restart);
    tcase_add_test(tests, every_flag_survives_alone);
    tcase_add_test(tests, what_is_unknown_stays_unknown);
    tcase_add_test(tests, a_number_that_no_column_holds_becomes_the_largest);
    tcase_add_test(tests, a_state_that_does_not_exist_is_refused);
    tcase_add_test(tests, the_columns_are_those_of_every_release);
    tcase_add_test(tests, the_states_numbers_are_those_of_every_release);
    tcase_add_test(tests, the_flags_bits_are_those_of_every_release);
    tcase_add_test(tests, the_outcomes_are_those_of_every_release);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
