/* Torture of the server: start-up, a round with its commit, a resume in the middle of a round, and the check of what is
 * on the disk. Whatever fails, the server says why, loses nothing that was committed, and comes in the end to the bits
 * of the run in which nothing failed. */
#include "small_server.h"

#include "store/state_check.h"
#include "store/store.h"
#include "test_main.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef TRIB_SANITIZED
enum { MOST_RUNS = 6 };
#else
enum { MOST_RUNS = 24 };
#endif
enum { FINISH = SMALL_ROUNDS };

/* ---- what must come out ---- */

struct result {
    uint64_t versions;
    uint8_t sha256[SMALL_ROUNDS + 1][32];
    char damage[512];
};

static enum trib_status take_version(void *context, const void *record, struct trib_error *error)
{
    (void)error;
    struct result *result = context;
    const struct trib_store_versions *row = record;
    if (row->version <= SMALL_ROUNDS) {
        memcpy(result->sha256[row->version], row->sha256, sizeof row->sha256);
    }
    result->versions++;
    return TRIB_OK;
}

static void take_damage(void *context, bool is_damage, const char *text)
{
    struct result *result = context;
    if (is_damage && result->damage[0] == '\0') {
        (void)snprintf(result->damage, sizeof result->damage, "%s", text);
    }
}

/* Read back what the server, which does not run, has left. */
static void look(struct small_server *server, struct result *result)
{
    struct trib_state_summary summary;
    struct trib_store *store = NULL;
    struct trib_error error = {.message = ""};
    *result = (struct result){.versions = 0};
    enum trib_status status =
        trib_state_check("/state", TRIB_MEMBER_STATE_COUNT, take_damage, result, &summary, &error);
    if (status != TRIB_OK || summary.unreferenced > 0 || summary.leftovers > 0) {
        small_break(server, "afterwards: %s %s, %s, %" PRIu64 " files that nothing needs, %" PRIu64 " leftovers",
                    trib_status_name(status), error.message, result->damage, summary.unreferenced, summary.leftovers);
    }
    status = trib_store_open(trib_store_backend_find("sqlite"), "/state/state.db", &store, &error);
    if (status == TRIB_OK) {
        status = trib_store_each(store, TRIB_STORE_versions, NULL, 0, take_version, result, &error);
        trib_store_close(store);
    }
    if (status != TRIB_OK) {
        small_break(server, "afterwards: %s", error.message);
    }
}

static void compare(struct small_server *server, const struct result *result, const struct result *calm)
{
    if (result->versions != calm->versions) {
        small_break(server, "%" PRIu64 " versions in the records, not %" PRIu64, result->versions, calm->versions);
    }
    for (uint64_t version = 0; version <= SMALL_ROUNDS; version++) {
        const uint8_t *expected = calm->sha256[version];
        if (memcmp(result->sha256[version], expected, 32) != 0 ||
            (server->was_told[version] && memcmp(server->told[version], expected, 32) != 0)) {
            small_break(server, "version %" PRIu64 " is not that of the calm run", version);
        }
    }
}

/* ---- scenarios ---- */

struct scenario {
    const char *name;
    void (*prepare)(struct small_server *server); /* without failures */
    void (*torture)(struct small_server *server); /* with */
};

static void prepare_nothing(struct small_server *server)
{
    (void)server;
}

static void start_it(struct small_server *server)
{
    while (!small_start(server) && !sim_disk_stopped(torture_disk()) && server->starts_failed < 20) {
        torture_wait();
    }
}

static void prepare_started(struct small_server *server)
{
    if (!small_start(server)) {
        small_break(server, "%s", server->error.message);
    }
}

static void run_first_round(struct small_server *server)
{
    small_run(server, 1, 0);
}

/* Killed when one of two updates of the second round is there. */
static void prepare_open_round(struct small_server *server)
{
    small_run(server, 1, 0);
    server->away[1] = true;
    small_run(server, 1, SMALL_CLIENTS + 1);
    server->away[1] = false;
    small_stop(server, SMALL_KILLED);
}

static void run_second_round(struct small_server *server)
{
    small_run(server, 2, 0);
}

static void prepare_complete(struct small_server *server)
{
    small_run(server, FINISH, 0);
    small_stop(server, SMALL_FREED);
}

/* What cannot be read is told as that, and not as damage. */
static void check_state(struct small_server *server)
{
    struct trib_state_summary summary;
    struct result result = {.versions = 0};
    server->error = (struct trib_error){.message = ""};
    bool held = torture_hold(false);
    server->status =
        trib_state_check("/state", TRIB_MEMBER_STATE_COUNT, take_damage, &result, &summary, &server->error);
    (void)torture_hold(held);
    server->starts_failed += server->status != TRIB_OK;
    if (summary.damages > 0) {
        small_break(server, "told as damage: %s", result.damage);
    } else if (server->status != TRIB_OK && server->error.message[0] == '\0') {
        small_break(server, "it did not say why: %s", trib_status_name(server->status));
    }
}

static const struct scenario scenarios[] = {
    {"start", prepare_nothing, start_it},
    {"round", prepare_started, run_first_round},
    {"resume", prepare_open_round, run_second_round},
    {"check", prepare_complete, check_state},
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* ---- one run ---- */

struct torment {
    const struct scenario *scenario;
    const struct small_variant *variant;
    struct result calm;
    uint64_t things[TORTURE_KIND_COUNT]; /* of each kind that the calm run counted */
};

/* What ended it must be what failed. */
static void check_reason(struct small_server *server, enum torture_kind kind)
{
    bool ended = server->starts_failed + server->ends > 0;
    if (ended && server->status != TRIB_OK && !torture_explains(kind, server->status)) {
        small_break(server, "it said %s: %s", trib_status_name(server->status), server->error.message);
    }
}

/* From what is on the disk, without failures: to the end, and once more. */
static void finish(struct small_server *server, struct result *result)
{
    unsigned failed = server->starts_failed + server->ends;
    small_run(server, FINISH, 0);
    small_stop(server, SMALL_FREED);
    if (server->broken[0] == '\0' && (!small_start(server) || !trib_hub_complete(server->engine))) {
        small_break(server, "the run is not complete after its end: %s", server->error.message);
    }
    small_stop(server, SMALL_FREED);
    if (server->starts_failed + server->ends > failed) {
        small_break(server, "it ended without a failure: %s", server->error.message);
    }
    if (server->broken[0] == '\0') {
        look(server, result);
    }
}

static void check_use(struct small_server *server, const struct torture_use *before)
{
    const struct torture_use now = torture_use();
    if (now.blocks != before->blocks || now.descriptors != 0 || now.database_bytes != before->database_bytes) {
        small_break(server,
                    "left in use: %" PRId64 " blocks of memory, %" PRId64 " descriptors, %" PRId64 " bytes of SQLite's",
                    now.blocks - before->blocks, now.descriptors, now.database_bytes - before->database_bytes);
    }
}

/* A loss of power after a sync that failed may take what was believed: no disk can do better. */
static enum small_end end_of(enum torture_kind kind, uint64_t after)
{
    static const enum small_end ends[] = {SMALL_FREED, SMALL_KILLED, SMALL_POWER_LOST};
    enum small_end end = ends[after % 3];
    return end == SMALL_POWER_LOST && kind == TORTURE_DISK_IO ? SMALL_KILLED : end;
}

static bool run(void *context, enum torture_kind kind, bool sticky, uint64_t after)
{
    const struct torment *torment = context;
    struct small_server server;
    struct result result = {.versions = 0};
    small_begin(&server, torment->variant);
    (void)torture_new_disk(after);
    const struct torture_use before = torture_use();
    torment->scenario->prepare(&server);
    torture_arm(kind, after, sticky);
    torment->scenario->torture(&server);
    bool fired = torture_disarm() > 0;
    if (fired) {
        check_reason(&server, kind);
    }
    small_stop(&server, sim_disk_stopped(torture_disk()) ? SMALL_POWER_LOST : end_of(kind, after));
    finish(&server, &result);
    check_use(&server, &before);
    if (server.broken[0] == '\0') {
        compare(&server, &result, &torment->calm);
    }
    ck_assert_msg(server.broken[0] == '\0', "TRIB_TORTURE=\"%s %s %" PRIu64 " %s, %s\": %s", torture_name(kind),
                  sticky ? "sticky" : "once", after, torment->variant->name, torment->scenario->name, server.broken);
    small_clear(&server);
    return fired;
}

/* Nothing fails: what comes out, and how many things there are to fail. */
static void run_calm(struct torment *torment)
{
    for (int kind = 0; kind < TORTURE_KIND_COUNT; kind++) {
        struct small_server server;
        small_begin(&server, torment->variant);
        (void)torture_new_disk(0);
        torment->scenario->prepare(&server);
        torture_arm((enum torture_kind)kind, UINT32_MAX, false);
        torment->scenario->torture(&server);
        torment->things[kind] = torture_counted();
        ck_assert_uint_eq(torture_disarm(), 0);
        small_stop(&server, SMALL_FREED);
        finish(&server, &torment->calm);
        ck_assert_msg(server.broken[0] == '\0', "%s, %s: %s", torment->variant->name, torment->scenario->name,
                      server.broken);
        ck_assert_uint_eq(torment->calm.versions, SMALL_ROUNDS + 1);
        small_clear(&server);
    }
}

START_TEST(whatever_fails_nothing_is_lost)
{
    struct torment torment = {.scenario = &scenarios[_i % SCENARIOS], .variant = &small_variants[_i / SCENARIOS]};
    char what[64];
    (void)snprintf(what, sizeof what, "%s, %s", torment.variant->name, torment.scenario->name);
    run_calm(&torment);
    for (int kind = 0; kind < TORTURE_KIND_COUNT; kind++) {
        for (int sticky = 0; sticky <= torture_may_stick((enum torture_kind)kind); sticky++) {
            if (torment.things[kind] > 0) {
                torture_each(what, (enum torture_kind)kind, sticky, torment.things[kind], MOST_RUNS, run, &torment);
            }
        }
    }
    torture_free_disk();
}
END_TEST

int main(void)
{
    torture_begin();
    Suite *suite = suite_create("torture_server");
    TCase *tests = tcase_create("torture_server");
    tcase_set_timeout(tests, 3600);
    tcase_add_loop_test(tests, whatever_fails_nothing_is_lost, 0, (int)n_small_variants * SCENARIOS);
    suite_add_tcase(suite, tests);
    (void)setenv("CK_FORK", "no", 0); /* so that the sums are those of all */
    int status = trib_test_run(suite);
    torture_print_totals();
    return status;
}
