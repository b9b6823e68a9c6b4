/* Offers with sketches, through the whole engine: who may upload, who is skipped, who lied; and the directions that
 * they are compared with. */
#include "engine_harness.h"

#include "codec/sketch.h"

#define UPLOAD TRIBUTARY__V1__DECISION__KIND__UPLOAD
#define SKIP   TRIBUTARY__V1__DECISION__KIND__SKIP

enum { CLIENTS = 4 };
static struct fake *clients[CLIENTS];
static const char *const names[CLIENTS] = {"a", "b", "c", "d"};

static void begin(const char *const *overrides)
{
    make_engine(overrides);
    start_engine();
    for (int c = 0; c < CLIENTS; c++) {
        clients[c] = connect_node(names[c]);
    }
}

static void end(void)
{
    end_engine();
    for (int c = 0; c < CLIENTS; c++) {
        clients[c]->peer.ops->unref(&clients[c]->peer);
    }
}

/* An update whose first `up` values are above 0 and the others below. */
static void fill(float update[N], int up)
{
    for (int i = 0; i < N; i++) {
        update[i] = i < up ? 0.5F : -0.5F;
    }
}

/* Offer `update` with the sketch of `claimed`; the blob is the caller's. */
static struct trib_blob *offer(struct fake *fake, const Tributary__V1__Task *task, const float update[N],
                               const float claimed[N])
{
    uint8_t schema[32], signs[N], packed[2];
    float model[N];
    download(task, model, schema);
    const struct trib_sketch_plan plan = trib_sketch_plan(task->run, task->round, task->sketch_positions, N);
    trib_sketch_take(&plan, signs, 0, claimed, claimed, N);
    trib_sketch_pack(signs, plan.k, packed);
    offered.sketch = packed;
    offered.sketch_len = trib_sketch_bytes(plan.k);
    struct trib_blob *blob = encode_update("f32", schema, update);
    offer_blob(fake, task->round, 100, blob);
    offered.sketch = NULL;
    offered.sketch_len = 0;
    return blob;
}

/* One client's part of a round, up to the decision; an upload follows when it is granted. */
static Tributary__V1__Decision__Kind take_part(int c, uint64_t round, int up)
{
    float update[N];
    fill(update, up);
    const Tributary__V1__Task *task = wait_task(clients[c]);
    ck_assert_uint_eq(task->round, round);
    struct trib_blob *blob = offer(clients[c], task, update, update);
    const Tributary__V1__Decision *decision = wait_decision(clients[c]);
    if (decision->kind == UPLOAD) {
        upload_blob(clients[c], round, blob);
    }
    trib_blob_unref(blob);
    return decision->kind;
}

START_TEST(compared_with_the_last_update)
{
    static const char *const overrides[] = {"relevance.sketch=15", "relevance.threshold=0.7",
                                            "federation.min_clients=4", NULL};
    static const int up[CLIENTS] = {15, 15, 10, 3};
    begin(overrides);
    for (int c = 0; c < CLIENTS; c++) { /* nothing to compare with in the first round */
        ck_assert_int_eq(take_part(c, 1, 15), UPLOAD);
    }
    for (int c = 0; c < CLIENTS; c++) {
        expect_outcome(clients[c], FOLDED, 1, "");
    }
    for (int c = 0; c < CLIENTS; c++) { /* the direction is up; 10 of 15 is below 0.7 */
        ck_assert_int_eq(take_part(c, 2, up[c]), c < 2 ? UPLOAD : SKIP);
    }
    expect_outcome(clients[0], FOLDED, 2, "");
    expect_outcome(clients[1], FOLDED, 2, "");
    wait_finished();
    end();
}
END_TEST

/* Nobody is relevant: the model is carried over and the run goes on. */
START_TEST(empty_rounds_are_carried_over)
{
    static const char *const overrides[] = {"relevance.sketch=1000", "relevance.threshold=0.7",
                                            "federation.min_clients=4", "federation.rounds=3", NULL};
    begin(overrides);
    for (int c = 0; c < CLIENTS; c++) {
        ck_assert_int_eq(take_part(c, 1, 15), UPLOAD);
    }
    for (int c = 0; c < CLIENTS; c++) {
        ck_assert_int_eq(take_part(c, 2, 2), SKIP);
    }
    uint64_t version = 0;
    for (int c = 0; c < CLIENTS; c++) {
        const Tributary__V1__Task *task = wait_task(clients[c]);
        ck_assert_uint_eq(task->round, 3);
        version = task->model_version;
    }
    ck_assert_uint_eq(version, 1);
    end();
}
END_TEST

START_TEST(compared_with_the_majority)
{
    static const char *const overrides[] = {"relevance.sketch=15",     "relevance.reference=majority",
                                            "relevance.threshold=0.8", "federation.min_clients=4",
                                            "federation.rounds=1",     NULL};
    static const int up[CLIENTS] = {15, 15, 14, 0};
    float update[N];
    struct trib_blob *blobs[CLIENTS];
    begin(overrides);
    for (int c = 0; c < CLIENTS; c++) {
        fill(update, up[c]);
        blobs[c] = offer(clients[c], wait_task(clients[c]), update, update);
    }
    for (int c = 0; c < CLIENTS; c++) {
        const Tributary__V1__Decision *decision = wait_decision(clients[c]);
        ck_assert_int_eq(decision->kind, c < 3 ? UPLOAD : SKIP);
        if (decision->kind == UPLOAD) {
            upload_blob(clients[c], 1, blobs[c]);
        } else {
            ck_assert_ptr_nonnull(strstr(decision->reason, "relevance 0.0000"));
        }
    }
    wait_finished();
    ck_assert(trib_hub_complete(engine));
    for (int c = 0; c < CLIENTS; c++) {
        trib_blob_unref(blobs[c]);
    }
    end();
}
END_TEST

START_TEST(a_share_of_the_offers)
{
    static const char *const overrides[] = {"relevance.sketch=15", "relevance.rule=share", "relevance.share=0.5",
                                            "federation.min_clients=4", NULL};
    begin(overrides);
    static const int up[2][CLIENTS] = {{15, 15, 15, 15}, {3, 12, 9, 14}};
    int uploads = 0;
    for (uint64_t round = 1; round <= 2; round++) {
        struct trib_blob *blobs[CLIENTS];
        float update[N];
        for (int c = 0; c < CLIENTS; c++) {
            fill(update, up[round - 1][c]);
            blobs[c] = offer(clients[c], wait_task(clients[c]), update, update);
        }
        for (int c = 0; c < CLIENTS; c++) {
            bool expected = round == 1 || c == 1 || c == 3;
            bool granted = wait_decision(clients[c])->kind == UPLOAD;
            ck_assert(granted == expected);
            uploads += granted;
            if (granted) {
                upload_blob(clients[c], round, blobs[c]);
            }
            trib_blob_unref(blobs[c]);
        }
    }
    wait_finished();
    ck_assert_int_eq(uploads, CLIENTS + 2);
    end();
}
END_TEST

/* What is uploaded is not what was offered: it is rejected, and its sender is left out of the next round. */
START_TEST(liars_are_left_out)
{
    static const char *const overrides[] = {"relevance.sketch=15", "relevance.threshold=0", "federation.min_clients=4",
                                            NULL};
    float claimed[N], update[N];
    begin(overrides);
    fill(claimed, 15);
    fill(update, 14);
    struct trib_blob *blob = offer(clients[0], wait_task(clients[0]), update, claimed);
    ck_assert_int_eq(wait_decision(clients[0])->kind, UPLOAD);
    upload_blob(clients[0], 1, blob);
    trib_blob_unref(blob);
    expect_outcome(clients[0], REJECTED, 1, "contradicts the sketch that was offered for it, at 1 of 15 positions");
    for (int c = 1; c < CLIENTS; c++) {
        ck_assert_int_eq(take_part(c, 1, 15), UPLOAD);
    }
    for (int c = 1; c < CLIENTS; c++) {
        ck_assert_int_eq(take_part(c, 2, 15), UPLOAD);
    }
    wait_finished();
    ck_assert(trib_hub_complete(engine));
    for (size_t i = 0; i < clients[0]->n; i++) {
        const Tributary__V1__ServerMessage *message = clients[0]->messages[i];
        ck_assert(message->kind_case != TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK || message->task->round == 1);
    }
    end();
}
END_TEST

START_TEST(sketches_of_the_wrong_length)
{
    static const char *const overrides[] = {"relevance.sketch=15", "federation.min_clients=4", NULL};
    static uint8_t three[3];
    begin(overrides);
    uint8_t schema[32];
    float model[N];
    const Tributary__V1__Task *task = wait_task(clients[0]);
    download(task, model, schema);
    struct trib_blob *blob = constant_update(schema, 1);
    for (int c = 0; c < 2; c++) { /* none at all, and too long */
        offered.sketch = c == 0 ? NULL : three;
        offered.sketch_len = c == 0 ? 0 : sizeof three;
        offer_blob(clients[c], 1, 100, blob);
        expect_outcome(clients[c], REJECTED, 1, "sketch");
    }
    offered.sketch_len = 0;
    trib_blob_unref(blob);
    end();
}
END_TEST

START_TEST(filters)
{
    static const char *const overrides[] = {"selection.min_threads=2", "selection.min_battery=50",
                                            "selection.metered=false", "federation.min_clients=1",
                                            "federation.rounds=1",     NULL};
    make_engine(overrides);
    start_engine();
    Tributary__V1__Device device = TRIBUTARY__V1__DEVICE__INIT;
    device.on_battery = true;
    device.battery_percent = 20;
    hello_device = &device;
    struct fake *low = connect_node("low");
    device.battery_percent = 80;
    device.metered = true;
    struct fake *metered = connect_node("metered");
    hello_device = NULL;
    wait_for(low, TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME);
    wait_for(metered, TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME);
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    Tributary__V1__Progress progress = TRIBUTARY__V1__PROGRESS__INIT;
    device.metered = false;
    progress.device = &device;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS;
    message.progress = &progress;
    ck_assert_int_eq(say(metered, &message), TRIB_OK); /* it has found a cable */
    ck_assert_uint_eq(wait_task(metered)->round, 1);
    for (size_t i = 0; i < low->n; i++) {
        ck_assert_int_ne(low->messages[i]->kind_case, TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK);
    }
    end_engine();
    low->peer.ops->unref(&low->peer);
    metered->peer.ops->unref(&metered->peer);
}
END_TEST

/* A buffer of two: the third client's update is of an older model, and weighs less. */
START_TEST(stale_updates_weigh_less)
{
    static const char *const overrides[] = {"federation.buffer=2",      "federation.max_staleness=4",
                                            "federation.min_clients=3", "federation.clients_per_round=3",
                                            "federation.rounds=2",      NULL};
    make_engine(overrides);
    start_engine();
    struct fake *fakes[3] = {connect_node("a"), connect_node("b"), connect_node("c")};
    const Tributary__V1__Task *tasks[3];
    uint8_t schema[32];
    float model[N], next[N];
    for (int c = 0; c < 3; c++) {
        tasks[c] = wait_task(fakes[c]);
        ck_assert_uint_eq(tasks[c]->deadline_seconds, 0);
    }
    download(tasks[0], model, schema);
    struct trib_blob *ones = constant_update(schema, 1);
    for (int c = 0; c < 2; c++) {
        offer_blob(fakes[c], 1, 100, ones);
        ck_assert_int_eq(wait_decision(fakes[c])->kind, UPLOAD);
        upload_blob(fakes[c], 1, ones);
    }
    expect_outcome(fakes[0], FOLDED, 1, "");
    expect_outcome(fakes[1], FOLDED, 1, "");
    const Tributary__V1__Task *second = wait_task(fakes[0]);
    ck_assert_uint_eq(second->model_version, 1);
    download(second, next, schema);
    ck_assert_float_eq_tol(next[3], model[3] + 1, 1e-5F);
    offer_blob(fakes[2], 1, 100, ones); /* still of round 1 */
    ck_assert_int_eq(wait_decision(fakes[2])->kind, UPLOAD);
    upload_blob(fakes[2], 1, ones);
    offer_blob(fakes[0], 2, 100, ones);
    ck_assert_int_eq(wait_decision(fakes[0])->kind, UPLOAD);
    upload_blob(fakes[0], 2, ones);
    expect_outcome(fakes[2], FOLDED, 1, ""); /* of its own task's round */
    wait_finished();
    char path[128];
    snprintf(path, sizeof path, "%s/state/models/latest.safetensors", dir);
    struct trib_buf file = {0};
    ck_assert_int_eq(trib_file_read(path, 1 << 20, &file, &error), TRIB_OK);
    float last;
    memcpy(&last, file.data + file.len - N * sizeof(float) + 3 * sizeof(float), sizeof last);
    /* (1 + 2^-0.5) / 2, in parts of 1/6400 */
    ck_assert_float_eq_tol(last, next[3] + 0.85355F, 2e-4F);
    trib_buf_clear(&file);
    trib_blob_unref(ones);
    end_engine();
    for (int c = 0; c < 3; c++) {
        fakes[c]->peer.ops->unref(&fakes[c]->peer);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("relevance");
    tcase_add_test(tests, compared_with_the_last_update);
    tcase_add_test(tests, empty_rounds_are_carried_over);
    tcase_add_test(tests, compared_with_the_majority);
    tcase_add_test(tests, a_share_of_the_offers);
    tcase_add_test(tests, liars_are_left_out);
    tcase_add_test(tests, sketches_of_the_wrong_length);
    tcase_add_test(tests, filters);
    tcase_add_test(tests, stale_updates_weigh_less);
    Suite *suite = suite_create("engine with relevance");
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
