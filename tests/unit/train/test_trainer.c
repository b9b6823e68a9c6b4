/* Training: it learns, its arithmetic is what the recipe says, its bits depend on nothing else, its limits hold. */
#include "base/mem.h"
#include "base/rng.h"
#include "model/zoo.h"
#include "test_main.h"
#include "train/trainer.h"

#include <math.h>
#include <string.h>

enum { N = 50, WIDTH = 6, CLASSES = 3 };

static struct trib_dataset data;
static uint32_t everything[N];

/* Three clouds around three corners. */
static void make_data(void)
{
    struct trib_rng rng = trib_rng_init(11, "test", 0, 0);
    data = (struct trib_dataset){.n = N, .example = TRIB_SHAPE(WIDTH), .example_n = WIDTH, .classes = CLASSES};
    float *x = trib_calloc(N * WIDTH, sizeof *x);
    data.labels = trib_calloc(N, sizeof *data.labels);
    for (uint32_t i = 0; i < N; i++) {
        everything[i] = i;
        data.labels[i] = (int32_t)(i % CLASSES);
        for (int j = 0; j < WIDTH; j++) {
            float corner = j % CLASSES == data.labels[i] ? 1.0f : -0.5f;
            x[i * WIDTH + (uint32_t)j] = corner + 0.3f * (float)trib_rng_normal(&rng);
        }
    }
    data.data = x;
}

static void clear_data(void)
{
    trib_dataset_clear(&data);
}

static const struct trib_recipe plain = {.epochs = 4, .batch_size = 8, .learning_rate = 0.2f};

static struct trib_graph *model_for(const char *name, const struct trib_dataset *dataset)
{
    struct trib_graph *graph = NULL;
    struct trib_error error = {0};
    const struct trib_model_spec spec = {.example = dataset->example,
                                         .classes = dataset->labels ? dataset->classes : 1};
    ck_assert_msg(trib_zoo_build(name, &spec, &graph, &error) == TRIB_OK, "%s", error.message);
    return graph;
}

static struct trib_trainer *trainer_for(const struct trib_graph *graph, const struct trib_recipe *recipe,
                                        const struct trib_dataset *dataset, struct trib_thread_pool *pool,
                                        const struct trib_train_limits *limits)
{
    struct trib_trainer *trainer = NULL;
    struct trib_error error = {0};
    ck_assert_msg(trib_trainer_new(graph, recipe, dataset, trib_backend_default(), pool, limits, &trainer, &error) ==
                      TRIB_OK,
                  "%s", error.message);
    return trainer;
}

static float *fresh_model(const struct trib_trainer *trainer)
{
    const struct trib_schema *schema = trib_trainer_schema(trainer);
    float *model = trib_malloc_aligned(schema->n_floats, sizeof *model);
    trib_schema_initialise(schema, 5, model);
    return model;
}

static struct trib_train_result must_run(struct trib_trainer *trainer, size_t n, uint64_t seed, float *model)
{
    struct trib_train_result result;
    struct trib_error error = {0};
    ck_assert_msg(trib_trainer_run(trainer, everything, n, seed, model, NULL, &result, &error) == TRIB_OK, "%s",
                  error.message);
    return result;
}

START_TEST(it_learns_and_counts)
{
    struct trib_graph *graph = model_for("mlp", &data);
    struct trib_recipe recipe = plain;
    recipe.epochs = 20;
    struct trib_trainer *trainer = trainer_for(graph, &recipe, &data, NULL, NULL);
    float *model = fresh_model(trainer);
    struct trib_train_result result = must_run(trainer, N, 1, model);
    ck_assert_uint_eq(result.examples, N);
    ck_assert_uint_eq(result.steps, 20 * 7); /* six batches of 8 and one of 2 */
    ck_assert_uint_eq(result.examples_seen, 20 * N);
    ck_assert_double_lt(result.mean_loss, 0.1);
    ck_assert_double_gt(result.first_loss, 2 * result.mean_loss);
    ck_assert_double_ge(result.accuracy, 0.98);
    ck_assert(!result.stopped_early);
    trib_free(model);
    trib_trainer_free(trainer);
    trib_graph_free(graph);
}
END_TEST

/* ---- the arithmetic, against softmax regression in double ---- */

struct regression {
    double w[CLASSES][WIDTH], b[CLASSES]; /* as the model has them: out.weight, out.bias */
};
enum { REGRESSION_N = CLASSES * WIDTH + CLASSES };

static double *flat(struct regression *regression)
{
    return &regression->w[0][0];
}

/* Mean cross entropy over some examples, and its gradient. */
static double gradient_of(const struct regression *at, const uint32_t *examples, size_t n, struct regression *gradient)
{
    double loss = 0;
    memset(gradient, 0, sizeof *gradient);
    for (size_t i = 0; i < n; i++) {
        const float *x = (const float *)data.data + (size_t)examples[i] * WIDTH;
        int label = data.labels[examples[i]];
        double z[CLASSES], sum = 0;
        for (int c = 0; c < CLASSES; c++) {
            z[c] = at->b[c];
            for (int j = 0; j < WIDTH; j++) {
                z[c] += at->w[c][j] * (double)x[j];
            }
            sum += exp(z[c]);
        }
        loss -= (z[label] - log(sum)) / (double)n;
        for (int c = 0; c < CLASSES; c++) {
            double d = (exp(z[c]) / sum - (c == label ? 1 : 0)) / (double)n;
            gradient->b[c] += d;
            for (int j = 0; j < WIDTH; j++) {
                gradient->w[c][j] += d * (double)x[j];
            }
        }
    }
    return loss;
}

/* One step of the recipe's formula. */
static void step_by_hand(const struct trib_recipe *recipe, struct regression *start, struct regression *gradient,
                         struct regression *velocity, struct regression *w)
{
    double norm = 0, scale = 1;
    for (int i = 0; i < REGRESSION_N; i++) {
        norm += flat(gradient)[i] * flat(gradient)[i];
    }
    norm = sqrt(norm);
    if (recipe->clip_norm > 0 && norm > (double)recipe->clip_norm) {
        scale = (double)recipe->clip_norm / norm;
    }
    for (int i = 0; i < REGRESSION_N; i++) {
        double at = flat(w)[i];
        double g = scale * flat(gradient)[i] + (double)recipe->weight_decay * at +
                   (double)recipe->proximal_mu * (at - flat(start)[i]);
        flat(velocity)[i] = (double)recipe->momentum * flat(velocity)[i] + g;
        flat(w)[i] -= (double)recipe->learning_rate * flat(velocity)[i];
    }
}

static const struct trib_recipe recipes[] = {
    {.learning_rate = 0.5f},
    {.learning_rate = 0.5f, .weight_decay = 0.1f},
    {.learning_rate = 0.5f, .clip_norm = 0.05f},
    {.learning_rate = 0.5f, .clip_norm = 100},
    {.learning_rate = 0.5f, .momentum = 0.9f},
    {.learning_rate = 0.5f, .momentum = 0.9f, .weight_decay = 0.1f, .clip_norm = 0.2f},
    {.learning_rate = 0.5f, .proximal_mu = 0.7f},
    {.learning_rate = 0.5f, .proximal_mu = 0.7f, .momentum = 0.5f, .weight_decay = 0.01f, .clip_norm = 0.1f},
};

START_TEST(steps_are_those_of_the_formula)
{
    enum { BATCH = 12, SEED = 3 };
    struct trib_recipe recipe = recipes[_i];
    recipe.epochs = 3;
    recipe.batch_size = BATCH; /* four steps and a smaller one each epoch */
    struct trib_graph *graph = model_for("logistic", &data);
    struct trib_trainer *trainer = trainer_for(graph, &recipe, &data, NULL, NULL);
    float *model = fresh_model(trainer);
    ck_assert_uint_eq(trib_trainer_schema(trainer)->n_floats, REGRESSION_N);
    struct regression w, start, gradient, velocity = {0};
    for (int i = 0; i < REGRESSION_N; i++) {
        flat(&w)[i] = (double)model[i];
    }
    start = w;
    double loss = 0;
    for (uint32_t epoch = 0; epoch < recipe.epochs; epoch++) {
        uint32_t order[N];
        memcpy(order, everything, sizeof order);
        struct trib_rng rng = trib_rng_init(SEED, "shuffle", epoch, 0);
        trib_rng_shuffle_u32(&rng, order, N);
        loss = 0;
        for (size_t at = 0; at < N; at += BATCH) {
            size_t n = N - at < BATCH ? N - at : BATCH;
            loss += gradient_of(&w, order + at, n, &gradient) * (double)n / N;
            step_by_hand(&recipe, &start, &gradient, &velocity, &w);
        }
    }
    struct trib_train_result result = must_run(trainer, N, SEED, model);
    ck_assert_double_eq_tol(result.mean_loss, loss, 1e-5);
    for (int i = 0; i < REGRESSION_N; i++) {
        ck_assert_double_eq_tol((double)model[i], flat(&w)[i], 5e-6);
    }
    /* the next run starts with the momentum and the reference point anew */
    float *again = fresh_model(trainer);
    must_run(trainer, N, SEED, again);
    ck_assert_mem_eq(again, model, REGRESSION_N * sizeof *model);
    trib_free(again);
    trib_free(model);
    trib_trainer_free(trainer);
    trib_graph_free(graph);
}
END_TEST

START_TEST(regression_by_mean_squared_error)
{
    /* y = 2 x0 - x1 + 0.5 */
    struct trib_dataset line = data;
    line.labels = NULL;
    line.classes = 0;
    line.targets = trib_calloc(N, sizeof(float));
    const float *x = data.data;
    for (size_t i = 0; i < N; i++) {
        line.targets[i] = 2 * x[i * WIDTH] - x[i * WIDTH + 1] + 0.5f;
    }
    struct trib_graph *graph = model_for("logistic", &line);
    const struct trib_recipe recipe = {.loss = TRIB_LOSS_MSE, .epochs = 300, .batch_size = 10, .learning_rate = 0.05f};
    struct trib_trainer *trainer = trainer_for(graph, &recipe, &line, NULL, NULL);
    float *model = fresh_model(trainer);
    struct trib_train_result result = must_run(trainer, N, 1, model);
    ck_assert_double_lt(result.mean_loss, 1e-3);
    ck_assert(isnan(result.accuracy));
    ck_assert_float_eq_tol(model[0], 2, 0.1f);
    ck_assert_float_eq_tol(model[1], -1, 0.1f);
    trib_free(line.targets);
    trib_free(model);
    trib_trainer_free(trainer);
    trib_graph_free(graph);
}
END_TEST

/* ---- the same bits ---- */

/* Images with enough in them that every kernel has something to split. */
static void make_images(struct trib_dataset *images)
{
    enum { PIXELS = 12 * 12 };
    *images = (struct trib_dataset){
        .n = N, .example = TRIB_SHAPE(12, 12, 1), .example_n = PIXELS, .is_u8 = true, .classes = CLASSES};
    struct trib_rng rng = trib_rng_init(12, "test", 0, 0);
    uint8_t *pixels = trib_malloc(N * PIXELS);
    images->labels = trib_malloc(N * sizeof *images->labels);
    for (size_t i = 0; i < N; i++) {
        images->labels[i] = (int32_t)trib_rng_below(&rng, CLASSES);
        for (size_t j = 0; j < PIXELS; j++) {
            pixels[i * PIXELS + j] = (uint8_t)(trib_rng_below(&rng, 128) + 40 * (uint32_t)images->labels[i]);
        }
    }
    images->data = pixels;
}

START_TEST(threads_change_no_bit)
{
    static const char *const names[] = {"mlp", "cnn-mnist", "resnet-small"};
    struct trib_dataset images;
    make_images(&images);
    struct trib_graph *graph = model_for(names[_i], &images);
    const struct trib_recipe recipe = {.epochs = 2,
                                       .batch_size = 20,
                                       .learning_rate = 0.05f,
                                       .momentum = 0.9f,
                                       .weight_decay = 1e-4f,
                                       .clip_norm = 1,
                                       .proximal_mu = 0.01f};
    float *first = NULL;
    struct trib_train_result first_result;
    for (int threads = 0; threads <= 3; threads++) {
        struct trib_thread_pool *pool = NULL; /* 0 = no pool at all */
        if (threads > 0) {
            ck_assert_int_eq(trib_thread_pool_new(threads, &pool, NULL), TRIB_OK);
        }
        struct trib_trainer *trainer = trainer_for(graph, &recipe, &images, pool, NULL);
        float *model = fresh_model(trainer);
        struct trib_train_result result = must_run(trainer, N, 9, model);
        if (!first) {
            first = model;
            first_result = result;
        } else {
            ck_assert_mem_eq(model, first, trib_trainer_schema(trainer)->n_floats * sizeof *model);
            ck_assert(memcmp(&result.mean_loss, &first_result.mean_loss, sizeof(double)) == 0);
            ck_assert(memcmp(&result.accuracy, &first_result.accuracy, sizeof(double)) == 0);
            trib_free(model);
        }
        trib_trainer_free(trainer);
        trib_thread_pool_free(pool);
    }
    trib_free(first);
    trib_graph_free(graph);
    trib_dataset_clear(&images);
}
END_TEST

START_TEST(a_run_depends_on_seed_and_examples_not_on_runs_before)
{
    struct trib_graph *graph = model_for("mlp", &data);
    struct trib_trainer *trainer = trainer_for(graph, &plain, &data, NULL, NULL);
    size_t len = trib_trainer_schema(trainer)->n_floats * sizeof(float);
    float *a = fresh_model(trainer), *b = fresh_model(trainer), *c = fresh_model(trainer);
    must_run(trainer, 29, 1, a);
    for (size_t n = 1; n <= N; n++) { /* more sizes of the last batch than are kept */
        float *other = fresh_model(trainer);
        must_run(trainer, n, n, other);
        trib_free(other);
    }
    must_run(trainer, 29, 1, b);
    must_run(trainer, 29, 2, c);
    ck_assert_mem_eq(a, b, len);
    ck_assert(memcmp(a, c, len) != 0);
    trib_free(a);
    trib_free(b);
    trib_free(c);
    trib_trainer_free(trainer);
    trib_graph_free(graph);
}
END_TEST

START_TEST(a_changed_recipe_is_as_good_as_a_fresh_trainer)
{
    struct trib_graph *graph = model_for("mlp", &data);
    struct trib_trainer *kept = trainer_for(graph, &plain, &data, NULL, NULL);
    static const struct trib_recipe changes[] = {
        {.epochs = 1, .batch_size = 8, .learning_rate = 0.1f},
        {.epochs = 1, .batch_size = 5, .learning_rate = 0.1f},
        {.epochs = 1, .batch_size = 5, .learning_rate = 0.1f, .momentum = 0.5f, .proximal_mu = 1},
        {.epochs = 2, .batch_size = 5, .learning_rate = 0.1f},
        {.epochs = 1, .batch_size = 1000, .learning_rate = 0.1f, .clip_norm = 0.1f},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct trib_error error = {0};
        ck_assert_msg(trib_trainer_set_recipe(kept, &changes[i], &error) == TRIB_OK, "%s", error.message);
        struct trib_trainer *fresh = trainer_for(graph, &changes[i], &data, NULL, NULL);
        float *a = fresh_model(kept), *b = fresh_model(fresh);
        must_run(kept, N, 1, a);
        must_run(fresh, N, 1, b);
        ck_assert_mem_eq(a, b, trib_trainer_schema(kept)->n_floats * sizeof *a);
        trib_free(a);
        trib_free(b);
        trib_trainer_free(fresh);
    }
    trib_trainer_free(kept);
    trib_graph_free(graph);
}
END_TEST

/* ---- states ---- */

static struct trib_graph *model_of_layers(const char *text, const struct trib_model_spec *spec)
{
    struct trib_config_node *root = NULL;
    struct trib_graph *graph = NULL;
    ck_assert_int_eq(trib_config_parse_text("t", text, strlen(text), &root, NULL), TRIB_OK);
    ck_assert_int_eq(trib_layers_build(trib_config_child(root, "layers"), spec, &graph, NULL), TRIB_OK);
    trib_config_free(root);
    return graph;
}

START_TEST(states_follow_their_statistics_and_not_the_optimizer)
{
    struct trib_graph *graph =
        model_of_layers("layers: [{layer: linear, units: 5}, {layer: batch_norm}, {layer: linear, units: 3}]",
                        &(struct trib_model_spec){.example = TRIB_SHAPE(WIDTH), .classes = CLASSES});
    struct trib_recipe recipe = {.epochs = 1, .batch_size = N, .learning_rate = 0.1f};
    float *models[2];
    const struct trib_schema *schema = NULL;
    struct trib_trainer *trainers[2];
    for (int i = 0; i < 2; i++) {
        trainers[i] = trainer_for(graph, &recipe, &data, NULL, NULL);
        models[i] = fresh_model(trainers[i]);
        must_run(trainers[i], N, 1, models[i]);
        schema = trib_trainer_schema(trainers[i]);
        recipe.weight_decay = 0.5f;
        recipe.momentum = 0.9f;
        recipe.proximal_mu = 0.5f;
    }
    size_t states = 0;
    for (size_t i = 0; i < schema->n_tensors; i++) {
        const struct trib_schema_tensor *tensor = &schema->tensors[i];
        if (tensor->trained) {
            continue;
        }
        states++;
        ck_assert_mem_eq(models[0] + tensor->offset, models[1] + tensor->offset, tensor->n * sizeof(float));
        float start = tensor->init == TRIB_INIT_ONES ? 1.0f : 0.0f;
        for (size_t j = 0; j < tensor->n; j++) {
            ck_assert(models[0][tensor->offset + j] != start);
        }
    }
    ck_assert_uint_eq(states, 2);
    for (int i = 0; i < 2; i++) {
        trib_free(models[i]);
        trib_trainer_free(trainers[i]);
    }
    trib_graph_free(graph);
}
END_TEST

/* One example, so that nothing but dropout is left to chance; on the input, so that weights whose input was dropped
 * stay as they were. */
START_TEST(dropout_depends_on_the_seed_and_the_step)
{
    enum { INPUTS = 64 };
    float x[INPUTS];
    int32_t label = 1;
    for (size_t i = 0; i < INPUTS; i++) {
        x[i] = 1;
    }
    const struct trib_dataset one = {
        .n = 1, .example = TRIB_SHAPE(INPUTS), .example_n = INPUTS, .data = x, .labels = &label, .classes = 2};
    struct trib_graph *graph =
        model_of_layers("layers: [{layer: dropout, rate: 0.5}, {layer: linear, units: 2, init: zeros}]",
                        &(struct trib_model_spec){.example = one.example, .classes = 2});
    static const struct {
        uint64_t seed;
        uint32_t epochs;
    } runs[] = {{1, 1}, {1, 1}, {2, 1}, {1, 2}};
    bool moved[4][INPUTS];
    size_t n_moved[4] = {0};
    for (size_t r = 0; r < 4; r++) {
        const struct trib_recipe recipe = {.epochs = runs[r].epochs, .batch_size = 1, .learning_rate = 0.1f};
        struct trib_trainer *trainer = trainer_for(graph, &recipe, &one, NULL, NULL);
        float *model = fresh_model(trainer);
        must_run(trainer, 1, runs[r].seed, model);
        for (size_t i = 0; i < INPUTS; i++) {
            moved[r][i] = model[i] != 0.0f;
            n_moved[r] += moved[r][i] ? 1 : 0;
        }
        trib_free(model);
        trib_trainer_free(trainer);
    }
    ck_assert_uint_gt(n_moved[0], INPUTS / 4);
    ck_assert_uint_lt(n_moved[0], 3 * INPUTS / 4);
    ck_assert_mem_eq(moved[0], moved[1], sizeof moved[0]);
    ck_assert(memcmp(moved[0], moved[2], sizeof moved[0]) != 0);
    ck_assert_uint_gt(n_moved[3], n_moved[0]);
    trib_graph_free(graph);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainer");
    TCase *tcase = tcase_create("trainer");
    tcase_add_checked_fixture(tcase, make_data, clear_data);
    tcase_add_test(tcase, it_learns_and_counts);
    tcase_add_loop_test(tcase, steps_are_those_of_the_formula, 0, (int)(sizeof recipes / sizeof recipes[0]));
    tcase_add_test(tcase, regression_by_mean_squared_error);
    tcase_add_loop_test(tcase, threads_change_no_bit, 0, 3);
    tcase_add_test(tcase, a_run_depends_on_seed_and_examples_not_on_runs_before);
    tcase_add_test(tcase, a_changed_recipe_is_as_good_as_a_fresh_trainer);
    tcase_add_test(tcase, states_follow_their_statistics_and_not_the_optimizer);
    tcase_add_test(tcase, dropout_depends_on_the_seed_and_the_step);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
