/* The whole engine without a network: tasks, offers, decisions, uploads, folding and commits, and what it tells clients
 * that are late, wrong, gone or in the way. */
#include "engine_harness.h"

#include <math.h>

START_TEST(two_rounds_average_what_clients_send)
{
    static const char *const overrides[] = {"strategy.learning_rate=0.5", "strategy.max_examples=50", NULL};
    static const uint64_t examples[2] = {30, 80}, weights[2] = {30, 50}; /* the second is capped */
    make_engine(overrides);
    start_engine();
    struct fake *clients[2] = {connect_node("a"), connect_node("b")};
    const Tributary__V1__Welcome *welcome = wait_for(clients[0], TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME)->welcome;
    ck_assert_str_eq(welcome->run, trib_run_id(trib_hub_run(engine, 0)));
    ck_assert_uint_eq(welcome->protocol, TRIB_PROTOCOL_VERSION);
    ck_assert_uint_eq(welcome->progress_seconds, 15);
    double expected[N];
    for (uint64_t round = 1; round <= 2; round++) {
        float model[N], updates[2][N];
        uint8_t schema[32];
        uint64_t seeds[2];
        for (int c = 0; c < 2; c++) {
            const Tributary__V1__Task *task = wait_task(clients[c]);
            ck_assert_uint_eq(task->round, round);
            ck_assert_uint_eq(task->model_version, round - 1);
            ck_assert_int_eq(task->graph.len > 0, round == 1); /* the plan is sent once a session */
            ck_assert_str_eq(task->codec, "f32");
            seeds[c] = task->seed;
            download(task, model, schema);
        }
        ck_assert_uint_ne(seeds[0], seeds[1]);
        for (int i = 0; i < N; i++) {
            ck_assert(round == 1 || fabs(model[i] - expected[i]) < 1e-6);
            updates[0][i] = 0.25F * (float)i - 1;
            updates[1][i] = 1 / (float)(i + (int)round);
            expected[i] = model[i] + 0.5 * (weights[0] * (double)updates[0][i] + weights[1] * (double)updates[1][i]) /
                                         (double)(weights[0] + weights[1]);
        }
        for (int c = 0; c < 2; c++) {
            struct trib_blob *blob = encode_update("f32", schema, updates[c]);
            deliver_blob(clients[c], round, examples[c], blob);
            trib_blob_unref(blob);
        }
        expect_outcome(clients[0], FOLDED, round, "");
        expect_outcome(clients[1], FOLDED, round, "");
    }
    wait_finished();
    wait_closed(clients[0]);
    wait_closed(clients[1]);
    ck_assert(clients[0]->final && trib_hub_complete(engine));
    ck_assert_str_eq(clients[0]->reason, "the run is finished");
    char path[128];
    snprintf(path, sizeof path, "%s/state/models/latest.safetensors", dir);
    struct trib_buf file = {0};
    ck_assert_int_eq(trib_file_read(path, 1 << 20, &file, &error), TRIB_OK);
    ck_assert_uint_gt(file.len, N * sizeof(float));
    const uint8_t *data = file.data + file.len - N * sizeof(float);
    for (int i = 0; i < N; i++) {
        float value;
        memcpy(&value, data + (size_t)i * sizeof value, sizeof value);
        ck_assert(fabs(value - expected[i]) < 1e-6);
    }
    trib_buf_clear(&file);
    let_go(clients[0]);
    let_go(clients[1]);
}
END_TEST

/* Uploads that arrive in another order, from threads of their own, give the same bits. */
struct delivery {
    pthread_t thread;
    struct fake *client;
    struct trib_blob *blob;
};

static void *deliver_in_thread(void *context)
{
    const struct delivery *delivery = context;
    (void)upload_range(delivery->client, 1, delivery->blob, 0, trib_blob_len(delivery->blob));
    return NULL;
}

START_TEST(many_clients_upload_at_once)
{
    enum { CLIENTS = 6 };
    static const char *const overrides[] = {"federation.min_clients=6", "federation.rounds=1",
                                            "federation.uploads_in_flight=6", NULL};
    make_engine(overrides);
    start_engine();
    struct delivery deliveries[CLIENTS];
    uint8_t schema[32];
    float model[N];
    for (int i = 0; i < CLIENTS; i++) {
        char node[16];
        snprintf(node, sizeof node, "n%d", i);
        deliveries[i].client = connect_node(node);
    }
    for (int i = 0; i < CLIENTS; i++) {
        download(wait_task(deliveries[i].client), model, schema);
        deliveries[i].blob = constant_update(schema, (float)i / 8);
        offer_blob(deliveries[i].client, 1, 10, deliveries[i].blob);
        (void)wait_decision(deliveries[i].client);
    }
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert_int_eq(pthread_create(&deliveries[i].thread, NULL, deliver_in_thread, &deliveries[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(deliveries[i].thread, NULL);
        expect_outcome(deliveries[i].client, FOLDED, 1, "");
        trib_blob_unref(deliveries[i].blob);
    }
    wait_finished();
    for (int i = 0; i < CLIENTS; i++) {
        let_go(deliveries[i].client);
    }
}
END_TEST

/* ---- updates that are refused ---- */

/* A frame with one float replaced and a checksum that fits: what an encoder of ours would not make. */
static struct trib_blob *forge(const uint8_t schema[32], float value)
{
    struct trib_blob *blob = constant_update(schema, 0.5F);
    uint8_t *bytes = trib_blob_fill(blob);
    size_t len = trib_blob_len(blob), payload_offset;
    ck_assert_uint_eq(trib_frame_raw_len(N, &payload_offset), len);
    memcpy(bytes + payload_offset + 7 * sizeof value, &value, sizeof value);
    trib_store_u32(bytes + len - TRIB_FRAME_CRC_LEN, trib_crc32c(0, bytes, len - TRIB_FRAME_CRC_LEN));
    return blob;
}

static void expect_rejected(struct fake *fake, struct trib_blob *blob, uint64_t round, const char *words)
{
    deliver_blob(fake, round, 10, blob);
    expect_outcome(fake, REJECTED, round, words);
    trib_blob_unref(blob);
}

START_TEST(wrong_updates_are_rejected_with_their_reason)
{
    static const char *const overrides[] = {"federation.min_clients=8", "federation.rounds=1", "strategy.max_abs=10",
                                            "strategy.max_norm=20", NULL};
    make_engine(overrides);
    start_engine();
    struct fake *clients[8];
    float model[N];
    uint8_t schema[32], other[32] = {1};
    for (int i = 0; i < 8; i++) {
        char node[16];
        snprintf(node, sizeof node, "n%d", i);
        clients[i] = connect_node(node);
    }
    for (int i = 0; i < 8; i++) {
        download(wait_task(clients[i]), model, schema);
    }
    float small[N] = {0.5F};
    expect_rejected(clients[0], forge(schema, NAN), 1, "finite");
    expect_rejected(clients[1], forge(schema, -INFINITY), 1, "finite");
    expect_rejected(clients[2], forge(schema, 11), 1, "has magnitude 11, above strategy.max_abs 10");
    expect_rejected(clients[3], constant_update(schema, 6), 1, "norm is 23.2379, above strategy.max_norm 20");
    expect_rejected(clients[4], constant_update(other, 1), 1, "");
    expect_rejected(clients[5], encode_update("f16", schema, small), 1,
                    "the update is coded as f16; the task asked for f32");
    struct trib_blob *noise = trib_blob_copy("this is not a frame, whatever its length may be, and so on", 58);
    expect_rejected(clients[6], noise, 1, "");
    struct trib_blob *good = constant_update(schema, 1);
    deliver_blob(clients[7], 1, 10, good);
    expect_outcome(clients[7], FOLDED, 1, "");
    wait_finished();
    ck_assert(trib_hub_complete(engine));
    trib_blob_unref(good);
    for (int i = 0; i < 8; i++) {
        let_go(clients[i]);
    }
}
END_TEST

START_TEST(wrong_offers_are_rejected_with_their_reason)
{
    static const char *const overrides[] = {"federation.min_clients=4", NULL};
    make_engine(overrides);
    start_engine();
    uint8_t digest[32] = {1};
    struct fake *clients[4] = {connect_node("a"), connect_node("b"), connect_node("c"), connect_node("d")};
    for (int i = 0; i < 4; i++) {
        (void)wait_task(clients[i]);
    }
    offer_hash(clients[0], 1, 10, digest, 0);
    expect_outcome(clients[0], REJECTED, 1, "the offer lacks the update's hash or length");
    offer_hash(clients[1], 1, 10, digest, UINT64_MAX);
    expect_outcome(clients[1], REJECTED, 1, "longer than any update of this model can be");
    offer_hash(clients[2], 1, 0, digest, 300);
    expect_outcome(clients[2], REJECTED, 1, "the offer is for no examples");
    offer_hash(clients[3], 9, 10, digest, 300);
    expect_outcome(clients[3], LATE, 9, "the round went on without it");
    for (int i = 0; i < 4; i++) {
        let_go(clients[i]);
    }
}
END_TEST

START_TEST(an_upload_with_another_hash_is_rejected)
{
    make_engine(NULL);
    start_engine();
    struct fake *a = connect_node("a"), *b = connect_node("b");
    float model[N];
    uint8_t schema[32], digest[32] = {9};
    download(wait_task(a), model, schema);
    (void)wait_task(b);
    struct trib_blob *blob = constant_update(schema, 1);
    offer_hash(a, 1, 10, digest, trib_blob_len(blob));
    (void)wait_decision(a);
    ck_assert_int_eq(upload_range(a, 1, blob, 0, trib_blob_len(blob)), TRIB_MISMATCH);
    expect_outcome(a, REJECTED, 1, "the chunk belongs to another blob");
    ck_assert_ptr_null(next_of(a, TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME));
    trib_blob_unref(blob);
    let_go(a);
    let_go(b);
}
END_TEST

/* ---- late, gone, back ---- */

START_TEST(who_comes_after_the_close_is_late)
{
    static const char *const overrides[] = {"federation.clients_per_round=1", "federation.over_selection=2", NULL};
    make_engine(overrides);
    start_engine();
    struct fake *a = connect_node("a"), *b = connect_node("b");
    float model[N];
    uint8_t schema[32];
    download(wait_task(a), model, schema);
    (void)wait_task(b);
    struct trib_blob *blob = constant_update(schema, 1);
    deliver_blob(a, 1, 10, blob);
    expect_outcome(b, LATE, 1, "enough updates");
    expect_outcome(a, FOLDED, 1, "");
    ck_assert_uint_eq(wait_task(b)->round, 2);
    offer_blob(b, 1, 10, blob); /* crossed on the way */
    expect_outcome(b, LATE, 1, "the round went on without it");
    deliver_blob(b, 2, 10, blob); /* and its task of round 2 stands */
    expect_outcome(b, FOLDED, 2, "");
    wait_finished();
    trib_blob_unref(blob);
    let_go(a);
    let_go(b);
}
END_TEST

START_TEST(a_reconnected_client_gets_its_task_again)
{
    make_engine(NULL);
    start_engine();
    struct fake *a = connect_node("a"), *b = connect_node("b");
    float model[N];
    uint8_t schema[32];
    uint64_t seed = wait_task(a)->seed;
    download(wait_task(b), model, schema);
    leave(a);
    a = connect_node("a");
    const Tributary__V1__Task *task = wait_task(a);
    ck_assert_uint_eq(task->round, 1);
    ck_assert_uint_eq(task->seed, seed);
    ck_assert_uint_gt(task->graph.len, 0); /* a session of its own: the plan as well */
    struct trib_blob *blob = constant_update(schema, 1);
    deliver_blob(a, 1, 10, blob);
    deliver_blob(b, 1, 10, blob);
    expect_outcome(a, FOLDED, 1, "");
    trib_blob_unref(blob);
    let_go(a);
    let_go(b);
}
END_TEST

START_TEST(a_broken_upload_goes_on)
{
    make_engine(NULL);
    start_engine();
    struct fake *a = connect_node("a"), *b = connect_node("b");
    float model[N];
    uint8_t schema[32];
    download(wait_task(a), model, schema);
    (void)wait_task(b);
    struct trib_blob *blob = constant_update(schema, 1);
    offer_blob(a, 1, 10, blob);
    (void)wait_decision(a);
    ck_assert_int_eq(upload_range(a, 1, blob, 0, 100), TRIB_OK); /* then the connection breaks */
    offer_blob(a, 1, 10, blob);
    ck_assert_uint_eq(wait_decision(a)->offset, 100);
    ck_assert_int_eq(upload_range(a, 1, blob, 100, trib_blob_len(blob)), TRIB_OK);
    deliver_blob(b, 1, 10, blob);
    expect_outcome(a, FOLDED, 1, "");
    trib_blob_unref(blob);
    let_go(a);
    let_go(b);
}
END_TEST

START_TEST(a_second_session_takes_over)
{
    make_engine(NULL);
    start_engine();
    struct fake *a = connect_node("a"), *b = connect_node("b");
    (void)wait_task(a);
    struct fake *again = connect_node("a");
    wait_closed(a);
    ck_assert_str_eq(a->reason, "another session of this node has taken over");
    ck_assert(!a->final);
    ck_assert_uint_eq(wait_task(again)->round, 1);
    say_failure(a, 1); /* the old session does not count any more */
    leave(a);          /* and its end changes nothing */
    uint8_t digest[32] = {1};
    offer_hash(again, 1, 10, digest, 300);
    (void)wait_decision(again);
    let_go(again);
    let_go(b);
}
END_TEST

START_TEST(who_fails_leaves_the_round_to_the_others)
{
    make_engine(NULL);
    start_engine();
    struct fake *a = connect_node("a"), *b = connect_node("b");
    float model[N];
    uint8_t schema[32];
    (void)wait_task(a);
    download(wait_task(b), model, schema);
    say_failure(a, 1);
    struct trib_blob *blob = constant_update(schema, 1);
    deliver_blob(b, 1, 10, blob);
    expect_outcome(b, FOLDED, 1, "");
    ck_assert_uint_eq(wait_task(a)->round, 2);
    say_failure(a, 2);
    say_failure(b, 2);
    ck_assert_uint_eq(wait_task(b)->round, 2); /* abandoned: nobody left */
    ck_assert_uint_eq(wait_task(b)->round, 2); /* and begun again */
    trib_blob_unref(blob);
    let_go(a);
    let_go(b);
}
END_TEST

/* ---- the door ---- */

START_TEST(a_client_without_the_codec_is_sent_away)
{
    static const char *const overrides[] = {"codec.up=f16", NULL};
    static char codec[] = "f32";
    make_engine(overrides);
    start_engine();
    struct fake *a = connect_with("a", codec);
    wait_closed(a);
    ck_assert(!a->final); /* its next version may have the codec */
    ck_assert_str_eq(a->reason, "this run needs codec \"f16\", which this client lacks; it has f32");
    let_go(a);
}
END_TEST

START_TEST(no_more_clients_than_allowed_are_served)
{
    static const char *const overrides[] = {"max_clients=2", NULL};
    make_engine(overrides);
    start_engine();
    struct fake *a = connect_node("a"), *b = connect_node("b"), *c = connect_node("c");
    wait_closed(c);
    ck_assert(!c->final && c->retry_seconds == 60);
    struct fake *again = connect_node("b"); /* a node that is served may replace its session */
    wait_closed(b);
    (void)wait_task(again);
    leave(again);
    struct fake *d = connect_node("d"); /* a place is free */
    (void)wait_for(d, TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME);
    let_go(a);
    let_go(b);
    let_go(c);
    let_go(d);
}
END_TEST

START_TEST(a_flood_of_messages_is_stopped)
{
    make_engine(NULL);
    struct fake *a = connect_node("a"); /* nobody takes its messages yet */
    int taken = 0;
    while (taken < 100000 && say_progress(a) == TRIB_OK) {
        taken++;
    }
    ck_assert_int_eq(taken, 256);
    start_engine();
    (void)wait_for(a, TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME);
    struct fake *b = connect_node("b");
    (void)wait_task(b); /* by then everything before it was taken */
    ck_assert_int_eq(say_progress(a), TRIB_OK);
    let_go(a);
    let_go(b);
}
END_TEST

/* ---- the end ---- */

START_TEST(stop_suspends_what_is_collected)
{
    make_engine(NULL);
    start_engine();
    struct fake *a = connect_node("a"), *b = connect_node("b");
    float model[N];
    uint8_t schema[32];
    download(wait_task(a), model, schema);
    struct trib_blob *blob = constant_update(schema, 1);
    offer_blob(a, 1, 10, blob);
    (void)wait_decision(a);
    trib_hub_stop(engine);
    wait_finished(); /* nobody is told that its work is in vain: it is not */
    ck_assert(!trib_hub_complete(engine));
    wait_closed(a);
    ck_assert(!a->final);
    ck_assert_str_eq(a->reason, "the server is stopping");
    ck_assert_ptr_null(next_of(a, TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME));
    trib_blob_unref(blob);
    let_go(a);
    let_go(b);
}
END_TEST

START_TEST(a_commit_that_fails_is_tried_again)
{
    static const char *const overrides[] = {"federation.rounds=1", NULL};
    make_engine(overrides);
    start_engine();
    char models[96], away[96];
    snprintf(models, sizeof models, "%s/state/blobs", dir);
    snprintf(away, sizeof away, "%s/state/away", dir);
    ck_assert_int_eq(rename(models, away), 0);
    struct fake *a = connect_node("a"), *b = connect_node("b");
    float model[N];
    uint8_t schema[32];
    download(wait_task(a), model, schema);
    (void)wait_task(b);
    struct trib_blob *blob = constant_update(schema, 1);
    deliver_blob(a, 1, 10, blob);
    deliver_blob(b, 1, 10, blob);
    expect_outcome(a, ABANDONED, 1, "blobs");
    ck_assert_int_eq(rename(away, models), 0);
    (void)wait_task(b);
    ck_assert_uint_eq(wait_task(a)->round, 1);
    deliver_blob(a, 1, 10, blob);
    deliver_blob(b, 1, 10, blob);
    expect_outcome(a, FOLDED, 1, "");
    wait_finished();
    ck_assert(trib_hub_complete(engine));
    trib_blob_unref(blob);
    let_go(a);
    let_go(b);
}
END_TEST

START_TEST(a_blob_that_is_not_published_is_not_given)
{
    static const uint8_t nothing[32] = {0};
    make_engine(NULL);
    ck_assert_ptr_null(trib_hub_blob(engine, nothing));
}
END_TEST

int main(void)
{
    struct trib_log_options quiet = {.level = TRIB_LOG_ERROR, .path = "/dev/null"};
    (void)!trib_log_open(&quiet, NULL);
    Suite *suite = suite_create("engine");
    TCase *tcase = tcase_create("engine");
    tcase_add_checked_fixture(tcase, NULL, end_engine);
    tcase_add_test(tcase, two_rounds_average_what_clients_send);
    tcase_add_test(tcase, many_clients_upload_at_once);
    tcase_add_test(tcase, wrong_updates_are_rejected_with_their_reason);
    tcase_add_test(tcase, wrong_offers_are_rejected_with_their_reason);
    tcase_add_test(tcase, an_upload_with_another_hash_is_rejected);
    tcase_add_test(tcase, who_comes_after_the_close_is_late);
    tcase_add_test(tcase, a_reconnected_client_gets_its_task_again);
    tcase_add_test(tcase, a_broken_upload_goes_on);
    tcase_add_test(tcase, a_second_session_takes_over);
    tcase_add_test(tcase, who_fails_leaves_the_round_to_the_others);
    tcase_add_test(tcase, a_client_without_the_codec_is_sent_away);
    tcase_add_test(tcase, no_more_clients_than_allowed_are_served);
    tcase_add_test(tcase, a_flood_of_messages_is_stopped);
    tcase_add_test(tcase, stop_suspends_what_is_collected);
    tcase_add_test(tcase, a_commit_that_fails_is_tried_again);
    tcase_add_test(tcase, a_blob_that_is_not_published_is_not_given);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
