/* The compressed broadcast: whoever follows by deltas, comes back after a few rounds or begins late has the server's
 * model, bit by bit; what a delta leaves out is in the next one; a version that was not committed leaves no trace. */
#include "engine_harness.h"

#include "model/schema.h"

#include <math.h>

enum { FLOATS = 5000 /* 4 x 1000 weights and 1000 biases */ };

/* What a client knows. */
struct follower {
    struct fake *fake;
    struct trib_schema schema;
    uint64_t version;
    size_t bytes; /* that it has downloaded */
    float model[FLOATS];
};

static struct trib_blob *frame_of(enum trib_frame_kind kind, const char *codec, uint64_t seed, const uint8_t *schema,
                                  const float *vector)
{
    struct trib_blob *frame = NULL;
    ck_assert_msg(encode_frame(kind, codec, seed, schema, vector, FLOATS, &frame, &error) == TRIB_OK, "%s",
                  error.message);
    return frame;
}

static struct trib_blob *blob_of(const Tributary__V1__Blob *name)
{
    struct trib_blob *blob = trib_hub_blob(engine, name->sha256.data);
    ck_assert_ptr_nonnull(blob);
    ck_assert_uint_eq(trib_blob_len(blob), name->len);
    return blob;
}

static void decode(const struct trib_blob *frame, const struct follower *follower, enum trib_frame_kind kind,
                   float values[FLOATS])
{
    const struct trib_frame_source source = trib_frame_source_memory(frame);
    const struct trib_frame_expect expect = {.kind = kind, .schema = follower->schema.hash, .n_elements = FLOATS};
    ck_assert_msg(trib_frame_decode(&source, &expect, values, FLOATS, &error) == TRIB_OK, "%s", error.message);
}

static void learn_schema(struct follower *follower, const Tributary__V1__Task *task)
{
    struct trib_graph *graph;
    ck_assert_int_eq(trib_graph_unpack(task->graph.data, task->graph.len, &graph, &error), TRIB_OK);
    ck_assert_int_eq(trib_schema_init(&follower->schema, graph, &error), TRIB_OK);
    ck_assert_uint_eq(follower->schema.n_floats, FLOATS);
    trib_graph_free(graph);
}

/* Its model's frame has the name that the task states. */
static void expect_same_bits(const struct follower *follower, const Tributary__V1__Task *task)
{
    uint8_t digest[32];
    struct trib_blob *frame = frame_of(TRIB_FRAME_MODEL, "f32", 0, follower->schema.hash, follower->model);
    ck_assert_int_eq(trib_sha256(trib_blob_data(frame), trib_blob_len(frame), digest), TRIB_OK);
    ck_assert_mem_eq(digest, task->model->sha256.data, sizeof digest);
    struct trib_blob *published = blob_of(task->model); /* and whoever asks for the whole gets the same */
    ck_assert_mem_eq(trib_blob_data(published), trib_blob_data(frame), trib_blob_len(frame));
    trib_blob_unref(published);
    trib_blob_unref(frame);
}

/* From the version that it holds to the task's, by the task's deltas alone. */
static void follow(struct follower *follower, const Tributary__V1__Task *task)
{
    for (size_t i = 0; i < task->n_deltas; i++) {
        if (task->deltas[i]->from_version != follower->version) {
            continue;
        }
        float values[FLOATS];
        struct trib_blob *delta = blob_of(task->deltas[i]->blob);
        decode(delta, follower, TRIB_FRAME_UPDATE, values);
        for (size_t j = 0; j < FLOATS; j++) {
            follower->model[j] += values[j];
        }
        follower->version++;
        follower->bytes += trib_blob_len(delta);
        trib_blob_unref(delta);
    }
    ck_assert_uint_eq(follower->version, task->model_version);
    expect_same_bits(follower, task);
}

/* Version 0, without a byte of it on the way. */
static void begin_at_zero(struct follower *follower, const Tributary__V1__Task *task)
{
    ck_assert_ptr_nonnull(task->initialisation);
    learn_schema(follower, task);
    trib_schema_initialise(&follower->schema, task->initialisation->seed, follower->model);
    follower->version = 0;
    follow(follower, task);
}

static void drop(struct follower *follower)
{
    follower->fake->peer.ops->unref(&follower->fake->peer);
    trib_schema_clear(&follower->schema);
}

/* An update that no coarse codec can carry: different in each element and each round, and exact in the sums. */
static void make_update(uint64_t round, float update[FLOATS])
{
    for (size_t i = 0; i < FLOATS; i++) {
        update[i] = (float)((i * 7 + round * 13) % 64) / 64 - 0.4375F;
    }
}

static void deliver(const struct follower *follower, uint64_t round)
{
    float update[FLOATS];
    make_update(round, update);
    struct trib_blob *blob = frame_of(TRIB_FRAME_UPDATE, "f32", 0, follower->schema.hash, update);
    offer_blob(follower->fake, round, 10, blob);
    ck_assert_int_eq(wait_decision(follower->fake)->kind, TRIBUTARY__V1__DECISION__KIND__UPLOAD);
    upload_blob(follower->fake, round, blob);
    trib_blob_unref(blob);
}

static void folded(const struct follower *follower, uint64_t round)
{
    const Tributary__V1__Outcome *outcome =
        wait_for(follower->fake, TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME)->outcome;
    ck_assert_msg(outcome->kind == TRIBUTARY__V1__OUTCOME__KIND__FOLDED, "outcome %d: %s", (int)outcome->kind,
                  outcome->reason);
    ck_assert_uint_eq(outcome->round, round);
}

#define WIDE "model.classes=1000", "federation.min_clients=1"

START_TEST(everyone_has_the_same_bits)
{
    static const char *const overrides[] = {WIDE, "federation.rounds=6", "codec.down=sign", NULL};
    static struct follower a, b, c; /* follows; misses three rounds; comes last */
    make_engine(overrides);
    start_engine();
    a.fake = connect_node("a");
    begin_at_zero(&a, wait_task(a.fake));
    ck_assert_uint_eq(a.bytes, 0);
    b.fake = connect_node("b");
    deliver(&a, 1);
    folded(&a, 1);
    begin_at_zero(&b, wait_task(b.fake));
    ck_assert_uint_eq(b.version, 1);
    say_failure(b.fake, 2);
    leave(b.fake);
    for (uint64_t round = 2; round <= 4; round++) {
        const Tributary__V1__Task *task = wait_task(a.fake);
        ck_assert_uint_eq(task->round, round);
        ck_assert_uint_eq(task->n_deltas, 1); /* it is known to hold the version before */
        follow(&a, task);
        if (round == 4) {
            b.fake = connect_node("b");
            c.fake = connect_node("c");
        }
        deliver(&a, round);
        folded(&a, round);
    }
    follow(&a, wait_task(a.fake));
    size_t before = b.bytes;
    follow(&b, wait_task(b.fake));
    ck_assert_uint_eq(b.version, 4);
    begin_at_zero(&c, wait_task(c.fake));
    ck_assert_uint_eq(c.version, 4);
    ck_assert_uint_eq(c.bytes, a.bytes);                  /* the same four deltas */
    ck_assert_uint_eq(b.bytes - before, c.bytes / 4 * 3); /* three of them */
    ck_assert_uint_lt(c.bytes, FLOATS);                   /* and all of them an eighth of a model */
    drop(&a);
    drop(&b);
    drop(&c);
}
END_TEST

/* The model that a round means: what strategy.finish makes of one client's update. */
static void expect_delta(const struct follower *a, const Tributary__V1__Task *task, const char *codec, uint64_t round,
                         const float base[FLOATS], float residual[FLOATS])
{
    float update[FLOATS], values[FLOATS];
    struct trib_frame_header header;
    make_update(round, update);
    for (size_t i = 0; i < FLOATS; i++) {
        update[i] = ((float)((double)base[i] + (double)update[i]) - base[i]) + residual[i];
    }
    struct trib_blob *delta = blob_of(task->deltas[task->n_deltas - 1]->blob);
    const struct trib_frame_source source = trib_frame_source_memory(delta);
    ck_assert_int_eq(trib_frame_parse_header(&source, &header, &error), TRIB_OK);
    struct trib_blob *expected = frame_of(TRIB_FRAME_UPDATE, codec, header.seed, a->schema.hash, update);
    ck_assert_uint_eq(trib_blob_len(delta), trib_blob_len(expected));
    ck_assert_mem_eq(trib_blob_data(delta), trib_blob_data(expected), trib_blob_len(delta));
    decode(delta, a, TRIB_FRAME_UPDATE, values);
    for (size_t i = 0; i < FLOATS; i++) {
        residual[i] = update[i] - values[i];
    }
    trib_blob_unref(delta);
    trib_blob_unref(expected);
}

/* Five rounds of one client, checked against error feedback by hand. */
static void run_feedback(const char *const *overrides, const char *codec, bool feedback)
{
    static struct follower a;
    static float base[FLOATS], residual[FLOATS];
    memset(residual, 0, sizeof residual);
    make_engine(overrides);
    start_engine();
    a = (struct follower){.fake = connect_node("a")};
    begin_at_zero(&a, wait_task(a.fake));
    for (uint64_t round = 1; round <= 5; round++) {
        memcpy(base, a.model, sizeof base);
        deliver(&a, round);
        folded(&a, round);
        const Tributary__V1__Task *task = wait_task(a.fake);
        expect_delta(&a, task, codec, round, base, residual);
        if (!feedback) {
            memset(residual, 0, sizeof residual);
        }
        follow(&a, task);
    }
    drop(&a);
}

START_TEST(what_a_delta_leaves_out_is_in_the_next)
{
    static const char *const sign[] = {WIDE, "federation.rounds=6", "codec.down=sign", NULL};
    run_feedback(sign, "sign", true);
    end_engine();
    static const char *const f16[] = {WIDE, "federation.rounds=6", "codec.down=f16", NULL};
    run_feedback(f16, "f16", true);
}
END_TEST

START_TEST(without_feedback_it_is_forgotten)
{
    static const char *const overrides[] = {WIDE, "federation.rounds=6", "codec.down=sign", "codec.down_feedback=false",
                                            NULL};
    run_feedback(overrides, "sign", false);
}
END_TEST

START_TEST(a_version_that_was_not_committed_leaves_no_trace)
{
    static const char *const overrides[] = {WIDE, "federation.rounds=4", "codec.down=sign", NULL};
    static struct follower a;
    static float base[FLOATS], residual[FLOATS];
    char models[96], away[96];
    make_engine(overrides);
    start_engine();
    a.fake = connect_node("a");
    begin_at_zero(&a, wait_task(a.fake));
    memcpy(base, a.model, sizeof base);
    deliver(&a, 1);
    folded(&a, 1);
    const Tributary__V1__Task *task = wait_task(a.fake);
    expect_delta(&a, task, "sign", 1, base, residual);
    follow(&a, task);
    snprintf(models, sizeof models, "%s/state/blobs", dir);
    snprintf(away, sizeof away, "%s/state/away", dir);
    ck_assert_int_eq(rename(models, away), 0);
    deliver(&a, 2);
    expect_outcome(a.fake, TRIBUTARY__V1__OUTCOME__KIND__ABANDONED, 2, "blobs");
    ck_assert_int_eq(rename(away, models), 0);
    task = wait_task(a.fake);
    ck_assert_uint_eq(task->round, 2);
    ck_assert_uint_eq(task->model_version, 1);
    expect_same_bits(&a, task);
    memcpy(base, a.model, sizeof base);
    deliver(&a, 2);
    folded(&a, 2);
    task = wait_task(a.fake);
    expect_delta(&a, task, "sign", 2, base, residual); /* as if it had been the first attempt */
    follow(&a, task);
    drop(&a);
}
END_TEST

/* A chain that is no shorter than the model is not offered: with f16, one delta is all that pays. */
START_TEST(only_chains_that_pay_are_offered)
{
    static const char *const overrides[] = {WIDE, "federation.rounds=4", "codec.down=f16", NULL};
    static struct follower a;
    static uint8_t oldest[32];
    make_engine(overrides);
    start_engine();
    a.fake = connect_node("a");
    begin_at_zero(&a, wait_task(a.fake));
    for (uint64_t round = 1; round <= 2; round++) {
        deliver(&a, round);
        folded(&a, round);
        const Tributary__V1__Task *task = wait_task(a.fake);
        follow(&a, task);
        ck_assert_uint_eq(task->n_deltas, 1);
        if (round == 1) {
            memcpy(oldest, task->deltas[0]->blob->sha256.data, sizeof oldest);
        }
    }
    ck_assert_ptr_null(trib_hub_blob(engine, oldest));
    leave(a.fake);
    a.fake = connect_node("a");
    const Tributary__V1__Task *task = wait_task(a.fake);
    ck_assert_uint_eq(task->model_version, 2);
    ck_assert_uint_eq(task->n_deltas, 1);
    ck_assert_uint_eq(task->deltas[0]->from_version, 1);
    ck_assert_ptr_null(task->initialisation); /* there is no way from version 0 any more */
    drop(&a);
}
END_TEST

START_TEST(full_precision_sends_whole_models)
{
    static const char *const overrides[] = {WIDE, "federation.rounds=3", "codec.down=f32", NULL};
    static struct follower a;
    make_engine(overrides);
    start_engine();
    a.fake = connect_node("a");
    for (uint64_t round = 1; round <= 2; round++) {
        const Tributary__V1__Task *task = wait_task(a.fake);
        if (round == 1) {
            learn_schema(&a, task);
        }
        ck_assert_uint_eq(task->n_deltas, 0);
        ck_assert_ptr_null(task->initialisation);
        struct trib_blob *whole = blob_of(task->model);
        decode(whole, &a, TRIB_FRAME_MODEL, a.model);
        trib_blob_unref(whole);
        deliver(&a, round);
        folded(&a, round);
    }
    drop(&a);
}
END_TEST

int main(void)
{
    struct trib_log_options quiet = {.level = TRIB_LOG_ERROR, .path = "/dev/null"};
    (void)!trib_log_open(&quiet, NULL);
    Suite *suite = suite_create("downlink");
    TCase *tcase = tcase_create("downlink");
    tcase_add_checked_fixture(tcase, NULL, end_engine);
    tcase_add_test(tcase, everyone_has_the_same_bits);
    tcase_add_test(tcase, what_a_delta_leaves_out_is_in_the_next);
    tcase_add_test(tcase, without_feedback_it_is_forgotten);
    tcase_add_test(tcase, a_version_that_was_not_committed_leaves_no_trace);
    tcase_add_test(tcase, only_chains_that_pay_are_offered);
    tcase_add_test(tcase, full_precision_sends_whole_models);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
