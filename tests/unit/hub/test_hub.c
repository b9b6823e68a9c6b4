/* A hub with two runs: each has its own clients, models, uploads and end. */
#include "engine_harness.h"

static struct trib_server_settings other_settings;

/* A second run beside the harness's, with a model of another seed and one round. */
static void open_other(const char *const *overrides, size_t n)
{
    char path[96];
    snprintf(path, sizeof path, "%s/server.yaml", dir);
    ck_assert_msg(trib_server_settings_load(path, overrides, n, &other_settings, &error) == TRIB_OK, "%s",
                  error.message);
    ck_assert_msg(trib_hub_open(engine, &other_settings, false, &error) == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(trib_hub_runs(engine), 2);
}

static char *id_of(size_t run)
{
    static char ids[2][TRIB_RUN_ID_LEN + 1];
    snprintf(ids[run], sizeof ids[run], "%s", trib_run_id(trib_hub_run(engine, run)));
    return ids[run];
}

static void make_two(void)
{
    static const char *const first[] = {"federation.min_clients=1", "federation.rounds=2", NULL};
    char other[96];
    const char *const second[] = {"federation.min_clients=1", "federation.rounds=1", "federation.seed=9", other};
    make_engine(first);
    snprintf(other, sizeof other, "state_dir=%s/other", dir);
    open_other(second, sizeof second / sizeof second[0]);
    ck_assert_str_ne(id_of(0), id_of(1));
}

static struct fake *connect_to(const char *node, size_t run)
{
    hello_run = id_of(run);
    struct fake *fake = connect_node(node);
    hello_run = no_run;
    const Tributary__V1__Welcome *welcome = wait_for(fake, TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME)->welcome;
    ck_assert_str_eq(welcome->run, id_of(run));
    return fake;
}

/* One round of a client, and what the run's model was before it. */
static void do_round(struct fake *client, size_t run, uint64_t round, float model[N])
{
    uint8_t schema[32];
    const Tributary__V1__Task *task = wait_task(client);
    ck_assert_str_eq(task->run, id_of(run));
    ck_assert_uint_eq(task->round, round);
    download(task, model, schema);
    struct trib_blob *blob = constant_update(schema, run == 0 ? 1 : -1);
    upload_run = id_of(run);
    deliver_blob(client, round, 10, blob);
    upload_run = NULL;
    trib_blob_unref(blob);
    expect_outcome(client, FOLDED, round, "");
}

START_TEST(each_run_has_its_own)
{
    float before[2][N], after[N];
    make_two();
    start_engine();
    struct fake *a = connect_to("node", 0), *b = connect_to("node", 1); /* one node may take part in both */
    do_round(a, 0, 1, before[0]);
    do_round(b, 1, 1, before[1]);
    ck_assert_mem_ne(before[0], before[1], sizeof before[0]); /* other seeds, other models */
    wait_closed(b);                                           /* the second run is complete, ... */
    ck_assert(b->final);
    ck_assert_str_eq(b->reason, "the run is finished");
    ck_assert(!a->closed); /* ... which is nothing to the first */
    do_round(a, 0, 2, after);
    for (int i = 0; i < N; i++) {
        ck_assert_float_eq_tol(after[i], before[0][i] + 1, 1e-6F);
    }
    wait_finished();
    wait_closed(a);
    ck_assert(trib_hub_complete(engine));
    let_go(a);
    let_go(b);
}
END_TEST

START_TEST(an_upload_reaches_no_other_run)
{
    float model[N];
    uint8_t schema[32];
    make_two();
    start_engine();
    struct fake *a = connect_to("a", 0);
    const Tributary__V1__Task *task = wait_task(a);
    download(task, model, schema);
    struct trib_blob *blob = constant_update(schema, 1);
    offer_blob(a, 1, 10, blob);
    (void)wait_for(a, TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION);
    upload_run = id_of(1); /* it was granted by the other */
    struct trib_chunk chunk = {.round = 1, .has_sha256 = true, .blob_len = trib_blob_len(blob)};
    struct trib_upload *upload = NULL;
    snprintf(chunk.run, sizeof chunk.run, "%s", id_of(1));
    ck_assert_int_eq(trib_hub_upload_open(engine, "a", &chunk, &upload, &error), TRIB_NOT_FOUND);
    upload_run = NULL;
    upload_blob(a, 1, blob);
    expect_outcome(a, FOLDED, 1, "");
    trib_blob_unref(blob);
    let_go(a);
}
END_TEST

START_TEST(a_run_that_is_not_served_is_refused_by_name)
{
    static char wrong[] = "0123456789abcdef";
    make_two();
    start_engine();
    hello_run = wrong;
    struct fake *fake = connect_node("a");
    hello_run = no_run;
    wait_closed(fake);
    ck_assert_ptr_nonnull(strstr(fake->reason, "run \"0123456789abcdef\" is not served here"));
    ck_assert(!fake->final);
    let_go(fake);
}
END_TEST

START_TEST(without_a_name_it_is_the_first)
{
    make_two();
    start_engine();
    struct fake *fake = connect_node("a");
    ck_assert_str_eq(wait_for(fake, TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME)->welcome->run, id_of(0));
    let_go(fake);
}
END_TEST

static void end_two(void)
{
    end_engine();
    trib_server_settings_clear(&other_settings);
}

int main(void)
{
    Suite *suite = suite_create("hub");
    TCase *tcase = tcase_create("hub");
    tcase_add_checked_fixture(tcase, NULL, end_two);
    tcase_add_test(tcase, each_run_has_its_own);
    tcase_add_test(tcase, an_upload_reaches_no_other_run);
    tcase_add_test(tcase, a_run_that_is_not_served_is_refused_by_name);
    tcase_add_test(tcase, without_a_name_it_is_the_first);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
