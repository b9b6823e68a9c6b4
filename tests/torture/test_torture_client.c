/* Torture of a client: it opens what it has kept, trains a round with error feedback, keeps the update, hears that it
 * was folded, and dies. Whatever fails, it says why, and an update never counts twice or by half: each later update is
 * coded from the state that the folded ones have left, or, where a state could not be kept, from none. With ef21 the
 * server refuses what begins at none, and so that client's part in the run is over. */
#include "torture.h"

#include "base/mem.h"
#include "client/local_training.h"
#include "client/task_store.h"
#include "codec/frame.h"
#include "crypto/hash.h"
#include "model/zoo.h"
#include "test_main.h"
#include "wire/graph_message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 40, ROUNDS = 4, TORTURED_ROUND = 2, MOST_TRIES = 40, FEATURES = 60, CLASSES = 10 };
#define DIR "/client"

struct way {
    const char *name, *feedback, *codec;
    bool differences; /* the server knows the state, and takes no update from another one */
};
static const struct way ways[] = {{"ef", "ef", "topk:1/5|f32", false},
                                  {"dgc", "dgc", "topk:1/5|f32", false},
                                  {"ef21", "ef21", "q4", true},
                                  {"none", "", "f32", false}};
enum { WAYS = sizeof ways / sizeof ways[0] };

/* ---- what stays the same ---- */

static struct {
    struct trib_dataset dataset;
    struct trib_client_data data;
    struct trib_blob *graph, *model;
    uint8_t graph_sha256[32], model_sha256[32];
} fixed;

static void make_model(void)
{
    const struct trib_model_spec spec = {.example = TRIB_SHAPE(FEATURES), .classes = CLASSES};
    struct trib_graph *graph = NULL;
    struct trib_schema schema;
    struct trib_buf bytes = {0};
    struct trib_chain chain;
    ck_assert_int_eq(trib_zoo_build("logistic", &spec, &graph, NULL), TRIB_OK);
    ck_assert_int_eq(trib_graph_pack(graph, &bytes, NULL), TRIB_OK);
    ck_assert_int_eq(trib_schema_init(&schema, graph, NULL), TRIB_OK);
    ck_assert_int_eq(trib_chain_parse("f32", &chain, NULL), TRIB_OK);
    float *values = trib_calloc(schema.n_floats, sizeof *values);
    ck_assert_ptr_nonnull(values);
    trib_schema_initialise(&schema, 1, values);
    const struct trib_frame_job job = {
        .kind = TRIB_FRAME_MODEL, .chain = &chain, .schema = schema.hash, .vector = values, .n = schema.n_floats};
    ck_assert_int_eq(trib_frame_encode(&job, &fixed.model, NULL), TRIB_OK);
    fixed.graph = trib_blob_copy(bytes.data, bytes.len);
    ck_assert_ptr_nonnull(fixed.graph);
    ck_assert_int_eq(trib_sha256(bytes.data, bytes.len, fixed.graph_sha256), TRIB_OK);
    ck_assert_int_eq(trib_sha256(trib_blob_data(fixed.model), trib_blob_len(fixed.model), fixed.model_sha256), TRIB_OK);
    trib_free(values);
    trib_schema_clear(&schema);
    trib_graph_free(graph);
    trib_buf_clear(&bytes);
}

static void setup(void)
{
    const struct trib_dataset_spec spec = {.format = "synthetic:iid,1,3", .split = "train"};
    ck_assert_int_eq(trib_dataset_open(&spec, &fixed.data.dataset, NULL), TRIB_OK);
    fixed.data.n = fixed.data.dataset.n < 40 ? fixed.data.dataset.n : 40;
    fixed.data.indices = trib_calloc(fixed.data.n, sizeof *fixed.data.indices);
    ck_assert_ptr_nonnull(fixed.data.indices);
    for (size_t i = 0; i < fixed.data.n; i++) {
        fixed.data.indices[i] = (uint32_t)i;
    }
    make_model();
}

static void teardown(void)
{
    trib_client_data_clear(&fixed.data);
    trib_blob_unref(fixed.graph);
    trib_blob_unref(fixed.model);
    torture_free_disk();
}

/* ---- a client, and what its server knows ---- */

struct home {
    const struct way *way;
    bool open, refused;
    struct trib_local_training local;
    struct trib_client_finished finished; /* frame NULL: nothing */
    uint64_t folded_round;
    uint8_t folded[ROUNDS + 1][32]; /* the updates that the server has folded, by round */
    enum trib_status status;        /* of what failed last */
    struct trib_error error;
    char broken[TRIB_ERROR_MESSAGE_LEN + 64];
};

static void home_break(struct home *home, const char *what, const char *text)
{
    if (home->broken[0] == '\0') {
        (void)snprintf(home->broken, sizeof home->broken, "%s: %s", what, text);
    }
}

/* It failed with home->error. */
static bool failed(struct home *home, enum trib_status status, const char *what)
{
    if (status == TRIB_OK) {
        return false;
    }
    home->status = status;
    if (home->error.message[0] == '\0') {
        home_break(home, what, "it did not say why");
    }
    return true;
}

static void close_life(struct home *home)
{
    bool held = torture_hold(false);
    trib_local_training_forget(&home->local);
    trib_model_cache_close(&home->local.cache);
    trib_feedback_store_free(home->local.feedback);
    (void)torture_hold(held);
    trib_client_update_clear(&home->finished.update);
    home->finished = (struct trib_client_finished){.task = {.round = 0}};
    home->local = (struct trib_local_training){.backend = NULL};
    home->open = false;
}

static bool open_life(struct home *home)
{
    home->local = (struct trib_local_training){.backend = trib_backend_find("reference"), .data = &fixed.data};
    home->error = (struct trib_error){.message = ""};
    home->open = true;
    bool held = torture_hold(false);
    enum trib_status status = trib_feedback_store_new(DIR, &home->local.feedback, &home->error);
    if (status == TRIB_OK) {
        status = trib_model_cache_open(&home->local.cache, DIR, &home->error);
    }
    if (status == TRIB_OK && !trib_task_store_load(DIR, &home->finished)) {
        home->finished = (struct trib_client_finished){.task = {.round = 0}};
    }
    (void)torture_hold(held);
    if (failed(home, status, "opening")) {
        close_life(home);
        return false;
    }
    return true;
}

static struct trib_client_task make_task(const struct home *home, uint64_t round)
{
    struct trib_client_task task = {.run = "run-1",
                                    .round = round,
                                    .model_len = trib_blob_len(fixed.model),
                                    .has_initialisation = true,
                                    .graph = fixed.graph,
                                    .seed = 5 + round,
                                    .sketch_positions = 20,
                                    .folded_round = home->folded_round,
                                    .recipe = {.loss = TRIB_LOSS_CROSS_ENTROPY,
                                               .optimizer = TRIB_OPTIMIZER_SGD,
                                               .epochs = 1,
                                               .batch_size = 10,
                                               .learning_rate = 0.5F}};
    memcpy(task.graph_sha256, fixed.graph_sha256, sizeof task.graph_sha256);
    memcpy(task.model_sha256, fixed.model_sha256, sizeof task.model_sha256);
    if (trib_chain_parse(home->way->codec, &task.codec, NULL) != TRIB_OK ||
        trib_feedback_read(home->way->feedback, 0.5, &task.feedback, NULL) != TRIB_OK) {
        abort();
    }
    return task;
}

static const _Atomic(bool) never = false;

static bool train(struct home *home, const struct trib_client_task *task, struct trib_client_update *update)
{
    struct trib_model_delivery delivery = {.route = trib_model_route_whole(task), .n_spools = 1};
    if (memcmp(home->local.cache.held.sha256, task->model_sha256, sizeof task->model_sha256) == 0) {
        delivery = (struct trib_model_delivery){.route = {.way = TRIB_MODEL_HELD}};
    } else {
        delivery.spools[0] = trib_model_spool_adopt(trib_blob_ref(fixed.model));
    }
    home->error = (struct trib_error){.message = ""};
    bool held = torture_hold(false);
    trib_task_store_forget(DIR); /* of an earlier task */
    enum trib_status status = trib_local_training_run(&home->local, task, &delivery, &never, update, &home->error);
    trib_model_delivery_clear(&delivery);
    if (status != TRIB_OK) {
        trib_local_training_forget(&home->local);
    }
    (void)torture_hold(held);
    return !failed(home, status, "training");
}

static void save(struct home *home, const struct trib_client_task *task, const struct trib_client_update *update)
{
    home->error = (struct trib_error){.message = ""};
    bool held = torture_hold(false);
    enum trib_status status = trib_task_store_save(DIR, task, update, &home->error);
    if (status != TRIB_OK) {
        trib_task_store_forget(DIR);
    }
    (void)torture_hold(held);
    if (status != TRIB_NOT_FOUND) { /* it is of no use without its state, which could not be kept */
        (void)failed(home, status, "keeping the update");
    }
}

/* Once: from the task to its outcome. False: nothing was folded. */
static bool live_round(struct home *home, uint64_t round)
{
    const struct trib_client_task task = make_task(home, round);
    struct trib_client_update update = {.frame = NULL};
    if (home->finished.update.frame && home->finished.task.round == round) {
        update = home->finished.update;
        home->finished = (struct trib_client_finished){.task = {.round = 0}};
    } else if (train(home, &task, &update)) {
        save(home, &task, &update);
    }
    bool offered = update.frame && !sim_disk_stopped(torture_disk());
    if (offered && home->way->differences && update.feedback_round != home->folded_round) {
        home->refused = true;
    } else if (offered) {
        memcpy(home->folded[round], update.sha256, sizeof home->folded[round]);
        home->folded_round = round;
        bool held = torture_hold(false);
        trib_task_store_forget(DIR);
        trib_feedback_store_settle(home->local.feedback, task.run, round, true);
        (void)torture_hold(held);
    }
    trib_client_update_clear(&update);
    return offered;
}

/* As often as it takes; a client that cannot open what it has is started again. */
static void live(struct home *home, uint64_t round)
{
    for (unsigned tries = 0; home->broken[0] == '\0' && !home->refused && home->folded_round < round; tries++) {
        bool done = (home->open || open_life(home)) && live_round(home, round);
        if (sim_disk_stopped(torture_disk())) {
            return;
        }
        if (!done) {
            torture_wait();
        }
        if (tries == MOST_TRIES) {
            home_break(home, "it does not come to an end", home->error.message);
        }
    }
}

/* ---- runs ---- */

/* expected[round][first]: the update of a round, when the state began at zero in round `first`. */
struct torment {
    const struct way *way;
    uint8_t expected[ROUNDS + 1][ROUNDS + 1][32];
    uint64_t things[TORTURE_KIND_COUNT];
    uint64_t runs, refused; /* clients that lost their ef21 state */
};

static void expect(struct torment *torment)
{
    for (uint64_t first = 1; first <= ROUNDS; first++) {
        struct home home = {.way = torment->way};
        (void)torture_new_disk(0);
        for (uint64_t round = first; round <= ROUNDS; round++) {
            live(&home, round);
            memcpy(torment->expected[round][first], home.folded[round], 32);
        }
        close_life(&home);
        ck_assert_msg(home.broken[0] == '\0', "%s", home.broken);
    }
    for (int kind = 0; kind < TORTURE_KIND_COUNT; kind++) {
        struct home home = {.way = torment->way};
        (void)torture_new_disk(0);
        live(&home, TORTURED_ROUND - 1);
        close_life(&home);
        torture_arm((enum torture_kind)kind, UINT32_MAX, false);
        live(&home, TORTURED_ROUND);
        torment->things[kind] = torture_counted();
        (void)torture_disarm();
        close_life(&home);
    }
}

/* States only go on, or begin anew after the failure. */
static void check_folded(struct home *home, const struct torment *torment)
{
    uint64_t first = 1;
    for (uint64_t round = 1; round <= home->folded_round && home->broken[0] == '\0'; round++) {
        uint64_t last = home->way->differences || round < TORTURED_ROUND ? 1 : round;
        bool found = false;
        for (uint64_t from = first; from <= last && !found; from++) {
            found = memcmp(home->folded[round], torment->expected[round][from], 32) == 0;
            first = found ? from : first;
        }
        if (!found) {
            char text[64];
            (void)snprintf(text, sizeof text, "of round %" PRIu64 ", state since %" PRIu64, round, first);
            home_break(home, "an update is coded from a state that nobody has left", text);
        }
    }
}

static void die(enum torture_kind kind, uint64_t after)
{
    struct sim_disk *disk = torture_disk();
    bool stopped = sim_disk_stopped(disk);
    if (stopped || (after % 3 == 2 && kind != TORTURE_DISK_IO)) {
        sim_disk_crash(disk);
    } else if (after % 3 == 1) {
        sim_disk_kill(disk);
    }
}

static bool run(void *context, enum torture_kind kind, bool sticky, uint64_t after)
{
    struct torment *torment = context;
    struct home home = {.way = torment->way};
    (void)torture_new_disk(after);
    const struct torture_use before = torture_use();
    live(&home, TORTURED_ROUND - 1);
    close_life(&home);
    home.status = TRIB_OK;
    torture_arm(kind, after, sticky);
    live(&home, TORTURED_ROUND);
    bool fired = torture_disarm() > 0;
    if (home.status != TRIB_OK && !torture_explains(kind, home.status)) {
        home_break(&home, trib_status_name(home.status), home.error.message);
    }
    die(kind, after);
    close_life(&home);
    sim_disk_start(torture_disk());
    for (uint64_t round = TORTURED_ROUND; round <= ROUNDS; round++) {
        home.status = TRIB_OK;
        live(&home, round);
        if (home.status != TRIB_OK) {
            home_break(&home, "it failed without a failure", home.error.message);
        }
    }
    close_life(&home);
    check_folded(&home, torment);
    torment->runs++;
    torment->refused += home.refused;
    const struct torture_use now = torture_use();
    if (now.blocks != before.blocks || now.descriptors != 0) {
        home_break(&home, "left in use", now.descriptors != 0 ? "descriptors" : "blocks of memory");
    }
    ck_assert_msg(home.broken[0] == '\0', "TRIB_TORTURE=\"%s %s %" PRIu64 " client %s\": %s", torture_name(kind),
                  sticky ? "sticky" : "once", after, torment->way->name, home.broken);
    return fired;
}

START_TEST(whatever_fails_it_counts_exactly_once)
{
    struct torment torment = {.way = &ways[_i]};
    char what[64];
    (void)snprintf(what, sizeof what, "client %s", torment.way->name);
    expect(&torment);
    for (int kind = 0; kind < TORTURE_KIND_COUNT; kind++) {
        for (int sticky = 0; sticky <= torture_may_stick((enum torture_kind)kind); sticky++) {
            if (torment.things[kind] > 0) {
                torture_each(what, (enum torture_kind)kind, sticky, torment.things[kind], MOST_RUNS, run, &torment);
            }
        }
    }
    if (torment.way->differences) {
        printf("%s: in %" PRIu64 " of %" PRIu64 " runs the state was lost\n", what, torment.refused, torment.runs);
    }
}
END_TEST

int main(void)
{
    torture_begin();
    Suite *suite = suite_create("torture_client");
    TCase *tests = tcase_create("torture_client");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 3600);
    tcase_add_loop_test(tests, whatever_fails_it_counts_exactly_once, 0, WAYS);
    suite_add_tcase(suite, tests);
    (void)setenv("CK_FORK", "no", 0); /* so that the sums are those of all */
    int status = trib_test_run(suite);
    torture_print_totals();
    return status;
}
