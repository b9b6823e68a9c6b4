/* What a trainer refuses or stops at, and what a user reads then: recipes, limits, data that does not fit, numbers that
 * are not finite, memory that is short. */
#include "base/mem.h"
#include "base/str.h"
#include "model/zoo.h"
#include "fail_memory.h"
#include "test_main.h"
#include "train/trainer.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { N = 20, WIDTH = 4 };

static struct trib_dataset data;
static struct trib_graph *graph;
static float values[N * WIDTH];
static int32_t labels[N];
static float targets[N];
static uint32_t everything[N];
static const struct trib_recipe plain = {.epochs = 3, .batch_size = 8, .learning_rate = 0.1f};

static void set_up(void)
{
    for (uint32_t i = 0; i < N; i++) {
        everything[i] = i;
        labels[i] = (int32_t)(i % 2);
        for (uint32_t j = 0; j < WIDTH; j++) {
            values[i * WIDTH + j] = (i % 2 ? 1.0f : -1.0f) + 0.01f * (float)((i * 7 + j * 3) % 11);
        }
    }
    data = (struct trib_dataset){
        .n = N, .example = TRIB_SHAPE(WIDTH), .example_n = WIDTH, .data = values, .labels = labels, .classes = 2};
    const struct trib_model_spec spec = {.example = data.example, .classes = 2};
    ck_assert_int_eq(trib_zoo_build("mlp", &spec, &graph, NULL), TRIB_OK);
}

static void tear_down(void)
{
    trib_graph_free(graph);
}

static enum trib_status try_new(const struct trib_recipe *recipe, const struct trib_train_limits *limits,
                                struct trib_trainer **trainer, struct trib_error *error)
{
    return trib_trainer_new(graph, recipe, &data, trib_backend_default(), NULL, limits, trainer, error);
}

/* Train with these limits; the model is thrown away. */
static struct trib_train_result train(const struct trib_recipe *recipe, const struct trib_train_limits *limits,
                                      const _Atomic(bool) *stop)
{
    struct trib_trainer *trainer = NULL;
    struct trib_error error = {0};
    ck_assert_msg(try_new(recipe, limits, &trainer, &error) == TRIB_OK, "%s", error.message);
    float *model = trib_malloc(trib_trainer_schema(trainer)->n_floats * sizeof *model);
    trib_schema_initialise(trib_trainer_schema(trainer), 1, model);
    struct trib_train_result result;
    ck_assert_msg(trib_trainer_run(trainer, everything, N, 1, model, stop, &result, &error) == TRIB_OK, "%s",
                  error.message);
    trib_free(model);
    trib_trainer_free(trainer);
    return result;
}

START_TEST(epochs_and_steps_end_a_run)
{
    struct trib_train_limits limits = {.max_epochs = 2};
    struct trib_train_result result = train(&plain, &limits, NULL);
    ck_assert_uint_eq(result.steps, 2 * 3);
    ck_assert(result.stopped_early);
    limits.max_epochs = 3;
    result = train(&plain, &limits, NULL);
    ck_assert_uint_eq(result.steps, 3 * 3);
    ck_assert(!result.stopped_early);
    struct trib_recipe recipe = plain;
    recipe.max_steps = 4;
    result = train(&recipe, NULL, NULL);
    ck_assert_uint_eq(result.steps, 4);
    ck_assert_uint_eq(result.examples_seen, N + 8);
    ck_assert(!result.stopped_early); /* the recipe's own wish */
    recipe.max_steps = 3;
    result = train(&recipe, NULL, NULL);
    ck_assert_uint_eq(result.steps, 3);
    ck_assert(isfinite(result.mean_loss)); /* of the epoch that was run */
}
END_TEST

START_TEST(time_ends_a_run_after_a_step)
{
    struct trib_recipe recipe = plain;
    recipe.epochs = 100000;
    const struct trib_train_limits limits = {.max_ms = 1};
    struct trib_train_result result = train(&recipe, &limits, NULL);
    ck_assert_uint_ge(result.steps, 1);
    ck_assert_uint_lt(result.steps, 300000);
    ck_assert(result.stopped_early);
}
END_TEST

START_TEST(the_stop_flag_ends_a_run)
{
    _Atomic(bool) stop = true;
    struct trib_train_result result = train(&plain, NULL, &stop);
    ck_assert_uint_eq(result.steps, 0);
    ck_assert(result.stopped_early);
    ck_assert(isnan(result.mean_loss));
    ck_assert(isnan(result.first_loss));
    atomic_store(&stop, false);
    result = train(&plain, NULL, &stop);
    ck_assert_uint_eq(result.steps, 9);
    ck_assert(!result.stopped_early);
}
END_TEST

START_TEST(memory_over_the_limit_is_refused_with_both_sizes)
{
    struct trib_trainer *trainer = NULL;
    struct trib_error error = {0};
    struct trib_train_limits limits = {.max_bytes = 10000};
    ck_assert_int_eq(try_new(&plain, &limits, &trainer, &error), TRIB_LIMIT);
    ck_assert_ptr_null(trainer);
    ck_assert_ptr_nonnull(strstr(error.message, "training with batches of 8 needs "));
    ck_assert_ptr_nonnull(strstr(error.message, "and the limit is 10"));
    ck_assert_ptr_nonnull(strstr(error.message, "lower batch_size"));
    /* mlp of 4 inputs: 41602 floats, so that gradients fit into 300 KB and momentum beside them does not */
    limits.max_bytes = 300000;
    ck_assert_msg(try_new(&plain, &limits, &trainer, &error) == TRIB_OK, "%s", error.message);
    struct trib_recipe recipe = plain;
    recipe.momentum = 0.9f;
    ck_assert_int_eq(trib_trainer_set_recipe(trainer, &recipe, &error), TRIB_LIMIT);
    /* the trainer still is as it was, and keeps to the limit with every batch size */
    float *model = trib_calloc(trib_trainer_schema(trainer)->n_floats, sizeof *model);
    for (size_t n = 1; n <= N; n++) {
        struct trib_train_result result;
        ck_assert_msg(trib_trainer_run(trainer, everything, n, 1, model, NULL, &result, &error) == TRIB_OK, "%s",
                      error.message);
    }
    trib_free(model);
    trib_trainer_free(trainer);
}
END_TEST

START_TEST(a_loss_that_is_not_finite_ends_the_run_with_advice)
{
    struct trib_recipe recipe = plain;
    recipe.learning_rate = 1e6f;
    recipe.epochs = 50;
    struct trib_trainer *trainer = NULL;
    struct trib_error error = {0};
    ck_assert_int_eq(try_new(&recipe, NULL, &trainer, &error), TRIB_OK);
    float *model = trib_malloc(trib_trainer_schema(trainer)->n_floats * sizeof *model);
    trib_schema_initialise(trib_trainer_schema(trainer), 1, model);
    for (size_t i = 0; i < N * WIDTH; i++) {
        values[i] *= 1e30f;
    }
    struct trib_train_result result = {.steps = 77};
    ck_assert_int_eq(trib_trainer_run(trainer, everything, N, 1, model, NULL, &result, &error), TRIB_NOT_FINITE);
    ck_assert_ptr_eq(strstr(error.message, "training step "), error.message);
    ck_assert_ptr_nonnull(strstr(error.message, ": the loss is "));
    ck_assert_ptr_nonnull(strstr(error.message,
                                 "; lower learning_rate (now 1e+06) or set clip_norm, and check that the data is "
                                 "normalised"));
    ck_assert_uint_eq(result.steps, 77);
    trib_free(model);
    trib_trainer_free(trainer);
}
END_TEST

START_TEST(an_update_that_is_not_finite_does_not_escape_by_being_the_last)
{
    struct trib_recipe recipe = plain;
    recipe.learning_rate = 1e6f;
    recipe.weight_decay = 1e3f;
    recipe.epochs = 100;
    recipe.batch_size = N;
    struct trib_trainer *trainer = NULL;
    struct trib_error error = {0};
    ck_assert_int_eq(try_new(&recipe, NULL, &trainer, &error), TRIB_OK);
    const struct trib_schema *schema = trib_trainer_schema(trainer);
    float *model = trib_malloc(schema->n_floats * sizeof *model);
    enum trib_status status = TRIB_OK;
    uint32_t steps = 0;
    while (status == TRIB_OK) { /* the weights grow by 1e9 a step */
        recipe.max_steps = ++steps;
        ck_assert_int_eq(trib_trainer_set_recipe(trainer, &recipe, NULL), TRIB_OK);
        trib_schema_initialise(schema, 1, model);
        struct trib_train_result result;
        status = trib_trainer_run(trainer, everything, N, 1, model, NULL, &result, &error);
        for (size_t i = 0; i < schema->n_floats && status == TRIB_OK; i++) {
            ck_assert(isfinite(model[i]));
        }
    }
    ck_assert_int_eq(status, TRIB_NOT_FINITE);
    ck_assert_uint_gt(steps, 1);
    trib_free(model);
    trib_trainer_free(trainer);
}
END_TEST

static void expect_refusal(const struct trib_recipe *recipe, const char *message)
{
    struct trib_trainer *trainer = NULL;
    struct trib_error error = {0};
    ck_assert_int_eq(try_new(recipe, NULL, &trainer, &error), TRIB_MISMATCH);
    ck_assert_ptr_null(trainer);
    ck_assert_str_eq(error.message, message);
}

START_TEST(data_that_does_not_fit_is_refused_with_both_shapes)
{
    data.example = TRIB_SHAPE(32, 32, 3);
    expect_refusal(&plain, "the model takes examples of [4], but the dataset's are [32, 32, 3]; give the dataset that "
                           "this model is meant for");
    data.example = TRIB_SHAPE(WIDTH);
    data.classes = 10;
    expect_refusal(&plain, "the dataset has 10 classes, but the model tells 2 apart; give the dataset that this model "
                           "is meant for, or a model with as many classes");
    data.classes = 3;
    ck_assert_int_eq(try_new(&plain, NULL, &(struct trib_trainer *){NULL}, NULL), TRIB_MISMATCH);
    data.classes = 1; /* a client need not have seen every class */
    struct trib_trainer *trainer = NULL;
    ck_assert_int_eq(try_new(&plain, NULL, &trainer, NULL), TRIB_OK);
    struct trib_recipe recipe = plain;
    recipe.loss = TRIB_LOSS_MSE;
    const char *no_targets =
        "the loss mse needs float targets, and the dataset has labels; use the loss cross_entropy, "
        "or read the dataset as regression";
    expect_refusal(&recipe, no_targets);
    struct trib_error error = {0};
    ck_assert_int_eq(trib_trainer_set_recipe(trainer, &recipe, &error), TRIB_MISMATCH);
    ck_assert_str_eq(error.message, no_targets);
    trib_trainer_free(trainer);
    data.labels = NULL;
    data.targets = targets;
    expect_refusal(&plain, "the loss cross_entropy needs labels, and the dataset has float targets; use the loss mse, "
                           "or read the dataset without regression");
    expect_refusal(&recipe, "the dataset has one target an example, but the model gives 2 numbers; use a model of 1");
    data.n = 0;
    trainer = NULL;
    ck_assert_int_eq(try_new(&plain, NULL, &trainer, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "the dataset has no examples");
}
END_TEST

START_TEST(examples_may_differ_by_dimensions_of_one)
{
    static const struct {
        struct trib_shape model, data;
        bool fits;
    } pairs[] = {
        {{3, {2, 2, 1}}, {2, {2, 2}}, true},
        {{3, {2, 2, 1}}, {1, {4}}, true},
        {{1, {4}}, {3, {2, 2, 1}}, true},
        {{1, {4}}, {3, {1, 1, 4}}, true},
        {{3, {2, 1, 2}}, {1, {4}}, false},
        {{3, {1, 2, 2}}, {3, {2, 1, 2}}, true},
        {{3, {4, 1, 1}}, {3, {2, 2, 1}}, true},
        {{2, {2, 2}}, {1, {4}}, true},
        {{1, {4}}, {1, {5}}, false},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const struct trib_model_spec spec = {.example = pairs[i].model, .classes = 2};
        trib_graph_free(graph);
        graph = NULL;
        ck_assert_int_eq(trib_zoo_build("logistic", &spec, &graph, NULL), TRIB_OK);
        data.example = pairs[i].data;
        struct trib_trainer *trainer = NULL;
        enum trib_status status = try_new(&plain, NULL, &trainer, NULL);
        ck_assert_msg(status == (pairs[i].fits ? TRIB_OK : TRIB_MISMATCH), "pair %zu", i);
        trib_trainer_free(trainer);
    }
}
END_TEST

START_TEST(examples_outside_the_dataset_are_refused)
{
    struct trib_trainer *trainer = NULL;
    struct trib_error error = {0};
    ck_assert_int_eq(try_new(&plain, NULL, &trainer, NULL), TRIB_OK);
    float *model = trib_calloc(trib_trainer_schema(trainer)->n_floats, sizeof *model);
    struct trib_train_result result;
    const uint32_t beyond[] = {0, N};
    ck_assert_int_eq(trib_trainer_run(trainer, beyond, 2, 1, model, NULL, &result, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "example 20 is outside the dataset's 20");
    ck_assert_int_eq(trib_trainer_run(trainer, beyond, 0, 1, model, NULL, &result, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "there are no examples to train on");
    trib_free(model);
    trib_trainer_free(trainer);
}
END_TEST

START_TEST(recipes_out_of_range_are_refused)
{
    struct trib_recipe good = plain;
    good.momentum = 0.9f;
    good.weight_decay = 1e-4f;
    ck_assert_int_eq(trib_recipe_check(&good, NULL), TRIB_OK);
    struct trib_recipe bad[16];
    static const char *const names[] = {"loss",          "optimizer",     "epochs",        "epochs",
                                        "batch_size",    "batch_size",    "learning_rate", "learning_rate",
                                        "learning_rate", "learning_rate", "momentum",      "momentum",
                                        "weight_decay",  "clip_norm",     "proximal_mu",   "proximal_mu"};
    for (size_t i = 0; i < 16; i++) {
        bad[i] = good;
    }
    bad[0].loss = (enum trib_loss)77;
    bad[1].optimizer = TRIB_OPTIMIZER_COUNT;
    bad[2].epochs = 0;
    bad[3].epochs = 100001;
    bad[4].batch_size = 0;
    bad[5].batch_size = 1000001;
    bad[6].learning_rate = 0;
    bad[7].learning_rate = -1;
    bad[8].learning_rate = NAN;
    bad[9].learning_rate = INFINITY;
    bad[10].momentum = 1;
    bad[11].momentum = -0.1f;
    bad[12].weight_decay = NAN;
    bad[13].clip_norm = INFINITY;
    bad[14].proximal_mu = -1;
    bad[15].proximal_mu = 1e7f;
    for (size_t i = 0; i < 16; i++) {
        struct trib_error error = {0};
        ck_assert_msg(trib_recipe_check(&bad[i], &error) == TRIB_INVALID, "recipe %zu", i);
        ck_assert_msg(trib_str_starts_with(error.message, names[i]), "%s", error.message);
        struct trib_trainer *trainer = NULL;
        ck_assert_int_eq(try_new(&bad[i], NULL, &trainer, NULL), TRIB_INVALID);
    }
    struct trib_error error = {0};
    ck_assert_int_eq(trib_recipe_check(&bad[4], &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "batch_size: 0 is outside 1..1000000");
}
END_TEST

START_TEST(losses_and_optimizers_have_names)
{
    ck_assert_str_eq(trib_loss_name(TRIB_LOSS_CROSS_ENTROPY), "cross_entropy");
    ck_assert_str_eq(trib_loss_name(TRIB_LOSS_MSE), "mse");
    ck_assert_str_eq(trib_optimizer_name(TRIB_OPTIMIZER_SGD), "sgd");
    ck_assert_str_eq(trib_loss_name(TRIB_LOSS_COUNT), "unknown");
    ck_assert_str_eq(trib_optimizer_name(TRIB_OPTIMIZER_COUNT), "unknown");
}
END_TEST

START_TEST(explain_shows_the_passes_and_the_plan)
{
    struct trib_buf text = {0};
    struct trib_error error = {0};
    ck_assert_msg(trib_trainer_explain(graph, TRIB_LOSS_CROSS_ENTROPY, 32, &text, &error) == TRIB_OK, "%s",
                  error.message);
    static const char *const parts[] = {
        "== model\n", "== with loss and gradients\n", "== passes\n", "fusion", "== after the passes\n",
        " linear(",   "== memory plan, batch 32\n"};
    const char *at = trib_buf_text(&text);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        at = strstr(at, parts[i]);
        ck_assert_msg(at, "%s is not in its place in:\n%s", parts[i], trib_buf_text(&text));
    }
    trib_buf_clear(&text);
    ck_assert_int_eq(trib_trainer_explain(graph, TRIB_LOSS_CROSS_ENTROPY, 0, &text, &error), TRIB_INVALID);
}
END_TEST

START_TEST(every_failed_allocation_is_reported)
{
    const struct trib_backend *backend = trib_backend_default();
    struct trib_recipe recipe = plain;
    recipe.momentum = 0.5f;
    recipe.proximal_mu = 0.5f;
    for (int after = 0;; after++) {
        ck_assert_int_lt(after, 20000);
        struct trib_trainer *trainer = NULL;
        struct trib_train_result result;
        struct trib_error error = {0};
        static float model[50000];
        (void)fail_memory_after(after, false);
        enum trib_status status = trib_trainer_new(graph, &recipe, &data, backend, NULL, NULL, &trainer, &error);
        if (status == TRIB_OK) {
            ck_assert_uint_le(trib_trainer_schema(trainer)->n_floats, 50000);
            status = trib_trainer_run(trainer, everything, N, 1, model, NULL, &result, &error);
        }
        (void)fail_memory_after(-1, false);
        ck_assert_msg(status == TRIB_OK || status == TRIB_NO_MEMORY, "after %d: %s", after, error.message);
        if (status != TRIB_OK && trainer) { /* and works when there is memory again */
            memset(model, 0, sizeof model);
            ck_assert_int_eq(trib_trainer_run(trainer, everything, N, 1, model, NULL, &result, &error), TRIB_OK);
        }
        trib_trainer_free(trainer);
        if (status == TRIB_OK) {
            ck_assert_int_gt(after, 0);
            break;
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainer_limits");
    TCase *tcase = tcase_create("trainer_limits");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, epochs_and_steps_end_a_run);
    tcase_add_test(tcase, time_ends_a_run_after_a_step);
    tcase_add_test(tcase, the_stop_flag_ends_a_run);
    tcase_add_test(tcase, memory_over_the_limit_is_refused_with_both_sizes);
    tcase_add_test(tcase, a_loss_that_is_not_finite_ends_the_run_with_advice);
    tcase_add_test(tcase, an_update_that_is_not_finite_does_not_escape_by_being_the_last);
    tcase_add_test(tcase, data_that_does_not_fit_is_refused_with_both_shapes);
    tcase_add_test(tcase, examples_may_differ_by_dimensions_of_one);
    tcase_add_test(tcase, examples_outside_the_dataset_are_refused);
    tcase_add_test(tcase, recipes_out_of_range_are_refused);
    tcase_add_test(tcase, losses_and_optimizers_have_names);
    tcase_add_test(tcase, explain_shows_the_passes_and_the_plan);
    tcase_add_test(tcase, every_failed_allocation_is_reported);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
