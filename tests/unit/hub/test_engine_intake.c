/* What the engine takes in: settings that make no run, clients that are left out, offers and updates under every rule
 * for their codec and weight. */
#include "engine_harness.h"

#include "codec/choose.h"
#include "codec/sketch.h"

#include <math.h>

/* ---- settings ---- */

/* Like make_engine, of a whole file; the status of the first step that fails. */
static enum trib_status try_engine(const char *text)
{
    char path[96];
    snprintf(dir, sizeof dir, "/tmp/trib-test-engine-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/server.yaml", dir);
    ck_assert_int_eq(trib_file_replace(path, text, strlen(text), &error), TRIB_OK);
    TRIB_TRY(trib_server_settings_load(path, NULL, 0, &settings, &error));
    enum trib_status status =
        trib_hub_new_with(&(struct trib_hub_setup){.software = "test 1.0"}, &settings, false, &engine, &error);
    if (status != TRIB_OK) {
        trib_server_settings_clear(&settings);
    }
    finished = running = false;
    return status;
}

/* A file with the usual model and more lines. */
static void with_model(const char *more, char text[1024])
{
    snprintf(text, 1024,
             "state_dir: state\ntls: {ca: a, certificate: b, key: c}\ncompute: {backend: reference, threads: 1}\n"
             "%s%s\n",
             strstr(more, "model:") ? "" : "model: {name: logistic, example: [4], classes: 3}\n", more);
}

static void refuse(const char *lines, const char *words)
{
    char text[1024];
    with_model(lines, text);
    ck_assert_msg(try_engine(text) != TRIB_OK, "%s was taken", lines);
    ck_assert_msg(strstr(error.message, words), "%s: %s", lines, error.message);
    remove_tree(dir);
}

START_TEST(settings_that_make_no_run_say_why)
{
    refuse("codec: {up: nonsense}", "codec.up: codec \"nonsense\" is not known");
    refuse("codec: {down: nonsense}", "codec.down: codec \"nonsense\" is not known");
    refuse("codec: {feedback: nonsense}", "codec.feedback: ");
    refuse("codec: {feedback: ef21}", "codec.feedback: ef21 does not go with strategy.name fedavg");
    refuse("codec: {feedback: ef}\nstrategy: {name: ef21}", "codec.feedback: ef does not go with strategy.name ef21");
    refuse("codec: {feedback: dgc, up: auto}", "codec.feedback: dgc is made for sparsifiers");
    refuse("codec: {warmup_rounds: 3}", "codec.warmup_rounds: codec.up \"f32\" has no share");
    refuse("codec: {warmup_rounds: 3, up: auto}", "codec.warmup_rounds: codec.up \"auto\" has no share");
    refuse("codec: {warmup_rounds: 3, up: 'topk:100%|f16'}", "codec.warmup_rounds: ");
    refuse("model: {name: logistic, classes: 3, example: 4}", "must be a list");
    refuse("model: {name: logistic, classes: 3, example: {a: 4}}", "give one to three numbers, such as [28, 28, 1]");
    refuse("model: {name: logistic, classes: 3, example: [1, 2, 3, 4]}", "give one to three numbers");
    refuse("model: {name: logistic, classes: 3, example: []}", "give one to three numbers");
    refuse("model: {name: logistic, classes: 3, example: [0]}", "not a whole number from 1 to");
    refuse("model: {name: logistic, classes: 3, example: [[4]]}", "not a whole number from 1 to");
    refuse("model: {example: [4], classes: 3, name: nonsense}", "model.name: ");
    refuse("model: {name: logistic, example: [4], classes: 3, initial: 'nothing.trf'}", "nothing.trf");
    refuse("selection: {tags: ward}", "selection.tags: ");
    refuse("selection: {tags: [[ward]]}", "selection.tags: a tag is a word");
}
END_TEST

/* ---- who is left out ---- */

/* Of two clients with other tags and devices, only the second is asked; without one, nobody is. */
static void expect_left_out(const char *lines, Tributary__V1__Device *device, bool second)
{
    char text[1024], more[512];
    static char ward[] = "ward", gpu[] = "gpu";
    static char *tags[] = {ward, gpu};
    snprintf(more, sizeof more, "federation: {min_clients: 1}\n%s", lines);
    with_model(more, text);
    ck_assert_msg(try_engine(text) == TRIB_OK, "%s", error.message);
    start_engine();
    hello_device = device;
    struct fake *out = connect_node("out");
    (void)wait_for(out, TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME);
    hello_device = NULL;
    hello_tags = tags;
    n_hello_tags = 2;
    if (!second) { /* that nobody is asked shows when it ends */
        trib_hub_stop(engine);
        wait_finished();
        ck_assert_ptr_null(next_of(out, TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK));
    } else {
        struct fake *in = connect_node("in");
        (void)wait_task(in);
        ck_assert_ptr_null(next_of(out, TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK));
        let_go(in);
    }
    hello_tags = NULL;
    n_hello_tags = 0;
    let_go(out);
    end_engine();
}

START_TEST(who_does_not_pass_the_filters_gets_no_task)
{
    Tributary__V1__Device metered = TRIBUTARY__V1__DEVICE__INIT, battery = TRIBUTARY__V1__DEVICE__INIT;
    metered.metered = true;
    battery.on_battery = true;
    battery.battery_percent = 20;
    expect_left_out("selection: {tags: [gpu]}", NULL, true);
    expect_left_out("selection: {min_examples: 101}", NULL, false);
    expect_left_out("selection: {min_threads: 3}", NULL, false);
    expect_left_out("selection: {metered: false}", &metered, true);
    expect_left_out("selection: {min_battery: 21}", &battery, true);
}
END_TEST

START_TEST(who_passes_the_filters_is_asked)
{
    static const char *const overrides[] = {"federation.min_clients=1", "selection.min_memory=1MiB",
                                            "selection.min_battery=20", "selection.metered=false", NULL};
    Tributary__V1__Device battery = TRIBUTARY__V1__DEVICE__INIT;
    battery.on_battery = true;
    battery.battery_percent = 20;
    make_engine(overrides);
    start_engine();
    hello_device = &battery; /* and it does not tell of its memory */
    struct fake *a = connect_node("a");
    (void)wait_task(a);
    hello_device = NULL;
    let_go(a);
    end_engine();
}
END_TEST

/* ---- offers ---- */

static void offer_numbers(struct fake *fake, double loss, double norm, uint64_t steps)
{
    uint8_t digest[32] = {1};
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    Tributary__V1__Offer offer = TRIBUTARY__V1__OFFER__INIT;
    Tributary__V1__Blob blob = TRIBUTARY__V1__BLOB__INIT;
    blob.sha256 = (ProtobufCBinaryData){.data = digest, .len = 32};
    blob.len = 100;
    offer.round = 1;
    offer.examples = 10;
    offer.loss = loss;
    offer.norm = norm;
    offer.steps = steps;
    offer.update = &blob;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
    message.offer = &offer;
    ck_assert_int_eq(say(fake, &message), TRIB_OK);
}

START_TEST(numbers_of_an_offer_must_be_possible)
{
    static const char *const overrides[] = {"federation.min_clients=6", "strategy.weights=steps", NULL};
    static const struct {
        double loss, norm;
        uint64_t steps;
        const char *words;
    } wrong[] = {
        {0.5, 1, 0, "the offer is for no steps, by which this run weighs"},
        {(double)NAN, 1, 7, "loss or norm is not a finite number"},
        {0.5, (double)INFINITY, 7, "loss or norm is not a finite number"},
        {0.5, -1, 7, "loss or norm is not a finite number"},
        {-1e10, 1, 7, "the offer's loss is absurd"},
    };
    struct fake *clients[6];
    make_engine(overrides);
    start_engine();
    for (int i = 0; i < 6; i++) {
        char node[2] = {(char)('a' + i), '\0'};
        clients[i] = connect_node(node);
    }
    for (int i = 0; i < 6; i++) {
        (void)wait_task(clients[i]);
    }
    for (int i = 0; i < 5; i++) {
        offer_numbers(clients[i], wrong[i].loss, wrong[i].norm, wrong[i].steps);
        expect_outcome(clients[i], REJECTED, 1, wrong[i].words);
    }
    offer_numbers(clients[5], 0.5, 1, 7);
    (void)wait_decision(clients[5]);
    for (int i = 0; i < 6; i++) {
        let_go(clients[i]);
    }
    end_engine();
}
END_TEST

START_TEST(a_sketch_has_the_length_that_was_asked_for)
{
    static const char *const overrides[] = {"federation.min_clients=2", "relevance.sketch=15", NULL};
    uint8_t sketch[8] = {0}, digest[32] = {1};
    make_engine(overrides);
    start_engine();
    struct fake *a = connect_node("a"), *b = connect_node("b");
    ck_assert_uint_eq(wait_task(a)->sketch_positions, 15);
    (void)wait_task(b);
    offered.sketch = sketch;
    offered.sketch_len = trib_sketch_bytes(15) + 1;
    offer_hash(a, 1, 10, digest, 100);
    expect_outcome(a, REJECTED, 1, "sketch has not the length");
    offered.sketch_len = trib_sketch_bytes(15);
    offer_hash(b, 1, 10, digest, 100);
    (void)wait_decision(b);
    offered.sketch = NULL;
    offered.sketch_len = 0;
    let_go(a);
    let_go(b);
    end_engine();
}
END_TEST

/* ---- codecs ---- */

START_TEST(a_target_lets_clients_choose_their_codec)
{
    static const char *const overrides[] = {"federation.min_clients=1", "federation.rounds=1", "codec.up=auto",
                                            "codec.target_bits=8", NULL};
    static char only[] = "f32";
    float model[N];
    uint8_t schema[32];
    make_engine(overrides);
    start_engine();
    struct fake *poor = connect_with("poor", only);
    wait_closed(poor);
    ck_assert_ptr_nonnull(strstr(poor->reason, "which this client lacks"));
    let_go(poor);
    struct fake *a = connect_node("a");
    const Tributary__V1__Task *task = wait_task(a);
    ck_assert_msg(trib_choice_is_auto(task->codec), "%s", task->codec);
    download(task, model, schema);
    struct trib_blob *blob = encode_update("q8", schema, model);
    offer_blob(a, 1, 10, blob);
    (void)wait_decision(a);
    upload_blob(a, 1, blob);
    expect_outcome(a, FOLDED, 1, "");
    wait_finished();
    trib_blob_unref(blob);
    let_go(a);
    end_engine();
}
END_TEST

START_TEST(a_warmup_begins_with_a_larger_share)
{
    static const char *const overrides[] = {"federation.min_clients=1", "codec.up=topk:1%|f16", "codec.warmup_rounds=3",
                                            NULL};
    make_engine(overrides);
    start_engine();
    struct fake *a = connect_node("a");
    const Tributary__V1__Task *task = wait_task(a);
    ck_assert_ptr_nonnull(strstr(task->codec, "topk:"));
    ck_assert_str_ne(task->codec, "topk:1%|f16");
    let_go(a);
    end_engine();
}
END_TEST

START_TEST(another_codec_than_asked_for_is_rejected)
{
    static const char *const overrides[] = {"federation.min_clients=1", "codec.up=q8", NULL};
    float model[N];
    uint8_t schema[32];
    make_engine(overrides);
    start_engine();
    struct fake *a = connect_node("a");
    download(wait_task(a), model, schema);
    struct trib_blob *blob = encode_update("f16", schema, model);
    offer_blob(a, 1, 10, blob);
    (void)wait_decision(a);
    upload_blob(a, 1, blob);
    expect_outcome(a, REJECTED, 1, "the update is coded as f16; the task asked for q8");
    trib_blob_unref(blob);
    let_go(a);
    end_engine();
}
END_TEST

/* A client that tells of 100 examples when it comes and of 300 when it offers weighs by 100. */
START_TEST(an_offer_weighs_by_no_more_than_was_told)
{
    static const char *const overrides[] = {"federation.rounds=1", NULL};
    float before[N], after[N];
    uint8_t schema[32];
    make_engine(overrides);
    start_engine();
    struct fake *clients[2] = {connect_node("a"), connect_node("b")};
    for (int c = 0; c < 2; c++) {
        download(wait_task(clients[c]), before, schema);
        struct trib_blob *blob = constant_update(schema, c == 0 ? 1 : 0);
        deliver_blob(clients[c], 1, c == 0 ? 300 : 100, blob);
        trib_blob_unref(blob);
    }
    expect_outcome(clients[0], FOLDED, 1, "");
    wait_finished();
    const struct trib_version *present = trib_run_present(trib_hub_run(engine, 0));
    memcpy(after, present->vector, sizeof after);
    for (int i = 0; i < N; i++) {
        ck_assert_float_eq_tol(after[i], before[i] + 0.5F, 1e-6F);
    }
    let_go(clients[0]);
    let_go(clients[1]);
    end_engine();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine_intake");
    TCase *tests = tcase_create("engine_intake");
    tcase_add_test(tests, an_offer_weighs_by_no_more_than_was_told);
    tcase_add_test(tests, settings_that_make_no_run_say_why);
    tcase_add_test(tests, who_does_not_pass_the_filters_gets_no_task);
    tcase_add_test(tests, who_passes_the_filters_is_asked);
    tcase_add_test(tests, numbers_of_an_offer_must_be_possible);
    tcase_add_test(tests, a_sketch_has_the_length_that_was_asked_for);
    tcase_add_test(tests, a_target_lets_clients_choose_their_codec);
    tcase_add_test(tests, a_warmup_begins_with_a_larger_share);
    tcase_add_test(tests, another_codec_than_asked_for_is_rejected);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
