/* Evaluation: figures against a plain computation, the inference form, batches and indices. */
#include "base/mem.h"
#include "base/rng.h"
#include "model/zoo.h"
#include "test_main.h"
#include "train/evaluate.h"

#include <math.h>
#include <string.h>

enum { N = 37, WIDTH = 5, CLASSES = 4, MODEL_N = CLASSES * WIDTH + CLASSES };

static struct trib_dataset data;
static float values[N * WIDTH];
static int32_t labels[N];
static float targets[N];
static float model[MODEL_N];
static struct trib_graph *graph;

static void set_up(void)
{
    struct trib_rng rng = trib_rng_init(21, "test", 0, 0);
    for (size_t i = 0; i < N * WIDTH; i++) {
        values[i] = (float)trib_rng_normal(&rng);
    }
    for (size_t i = 0; i < MODEL_N; i++) {
        model[i] = (float)trib_rng_normal(&rng);
    }
    for (size_t i = 0; i < N; i++) {
        labels[i] = (int32_t)trib_rng_below(&rng, CLASSES);
        targets[i] = (float)trib_rng_normal(&rng);
    }
    data = (struct trib_dataset){
        .n = N, .example = TRIB_SHAPE(WIDTH), .example_n = WIDTH, .data = values, .labels = labels, .classes = CLASSES};
    const struct trib_model_spec spec = {.example = data.example, .classes = CLASSES};
    ck_assert_int_eq(trib_zoo_build("logistic", &spec, &graph, NULL), TRIB_OK);
}

static void tear_down(void)
{
    trib_graph_free(graph);
}

static struct trib_evaluator *evaluator_for(const struct trib_graph *of, enum trib_loss loss,
                                            struct trib_thread_pool *pool, int64_t batch)
{
    struct trib_evaluator *evaluator = NULL;
    struct trib_error error = {0};
    ck_assert_msg(trib_evaluator_new(of, loss, &data, trib_backend_default(), pool, batch, &evaluator, &error) ==
                      TRIB_OK,
                  "%s", error.message);
    return evaluator;
}

static void logits_of(size_t example, double z[CLASSES])
{
    for (size_t c = 0; c < CLASSES; c++) {
        z[c] = (double)model[CLASSES * WIDTH + c];
        for (size_t j = 0; j < WIDTH; j++) {
            z[c] += (double)model[c * WIDTH + j] * (double)values[example * WIDTH + j];
        }
    }
}

static struct trib_evaluation expected_of(const uint32_t *indices, size_t n)
{
    struct trib_evaluation expected = {.examples = n};
    for (size_t i = 0; i < n; i++) {
        size_t example = indices ? indices[i] : i, best = 0;
        double z[CLASSES], sum = 0;
        logits_of(example, z);
        for (size_t c = 0; c < CLASSES; c++) {
            sum += exp(z[c]);
            best = z[c] > z[best] ? c : best;
        }
        expected.loss += (log(sum) - z[labels[example]]) / (double)n;
        expected.correct += best == (size_t)labels[example] ? 1 : 0;
    }
    expected.accuracy = (double)expected.correct / (double)n;
    return expected;
}

static void expect_equal(const struct trib_evaluation *got, const struct trib_evaluation *expected)
{
    ck_assert_uint_eq(got->examples, expected->examples);
    ck_assert_uint_eq(got->correct, expected->correct);
    ck_assert_double_eq_tol(got->loss, expected->loss, 1e-5);
    ck_assert_double_eq_tol(got->accuracy, expected->accuracy, 1e-12);
}

START_TEST(figures_are_those_of_a_plain_computation)
{
    static const int64_t batches[] = {1, 2, 10, N, 1000};
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        struct trib_evaluator *evaluator = evaluator_for(graph, TRIB_LOSS_CROSS_ENTROPY, NULL, batches[i]);
        struct trib_evaluation got, expected = expected_of(NULL, N);
        ck_assert_int_eq(trib_evaluator_run(evaluator, model, NULL, 0, &got, NULL), TRIB_OK);
        expect_equal(&got, &expected);
        static const uint32_t some[] = {36, 0, 5, 5, 17};
        ck_assert_int_eq(trib_evaluator_run(evaluator, model, some, 5, &got, NULL), TRIB_OK);
        expected = expected_of(some, 5);
        expect_equal(&got, &expected);
        trib_evaluator_free(evaluator);
    }
}
END_TEST

START_TEST(ignored_labels_do_not_count)
{
    labels[0] = labels[N - 1] = -1;
    uint32_t rest[N - 2];
    for (uint32_t i = 0; i < N - 2; i++) {
        rest[i] = i + 1;
    }
    struct trib_evaluator *evaluator = evaluator_for(graph, TRIB_LOSS_CROSS_ENTROPY, NULL, 1);
    struct trib_evaluation got, expected = expected_of(rest, N - 2);
    ck_assert_int_eq(trib_evaluator_run(evaluator, model, NULL, 0, &got, NULL), TRIB_OK);
    expect_equal(&got, &expected);
    trib_evaluator_free(evaluator);
}
END_TEST

START_TEST(of_equal_logits_the_first_is_the_answer)
{
    memset(model, 0, sizeof model);
    uint64_t zeros = 0;
    for (size_t i = 0; i < N; i++) {
        zeros += labels[i] == 0 ? 1 : 0;
    }
    struct trib_evaluator *evaluator = evaluator_for(graph, TRIB_LOSS_CROSS_ENTROPY, NULL, 10);
    struct trib_evaluation got;
    ck_assert_int_eq(trib_evaluator_run(evaluator, model, NULL, 0, &got, NULL), TRIB_OK);
    ck_assert_uint_eq(got.correct, zeros);
    ck_assert_double_eq_tol(got.loss, log(CLASSES), 1e-6);
    trib_evaluator_free(evaluator);
}
END_TEST

START_TEST(regression_has_a_loss_and_no_accuracy)
{
    const struct trib_model_spec spec = {.example = data.example, .classes = 1};
    struct trib_graph *line = NULL;
    ck_assert_int_eq(trib_zoo_build("logistic", &spec, &line, NULL), TRIB_OK);
    data.labels = NULL;
    data.targets = targets;
    struct trib_evaluator *evaluator = evaluator_for(line, TRIB_LOSS_MSE, NULL, 10);
    double expected = 0;
    for (size_t i = 0; i < N; i++) {
        double off = (double)model[WIDTH] - (double)targets[i];
        for (size_t j = 0; j < WIDTH; j++) {
            off += (double)model[j] * (double)values[i * WIDTH + j];
        }
        expected += off * off / N;
    }
    struct trib_evaluation got;
    ck_assert_int_eq(trib_evaluator_run(evaluator, model, NULL, 0, &got, NULL), TRIB_OK);
    ck_assert_uint_eq(got.examples, N);
    ck_assert_double_eq_tol(got.loss, expected, 1e-4);
    ck_assert(isnan(got.accuracy));
    trib_evaluator_free(evaluator);
    trib_graph_free(line);
}
END_TEST

START_TEST(the_inference_form_is_what_runs)
{
    static const char text[] = "layers: [{layer: batch_norm}, {layer: dropout, rate: 0.9}, {layer: linear, units: 4}]";
    struct trib_config_node *root = NULL;
    struct trib_graph *noisy = NULL;
    const struct trib_model_spec spec = {.example = data.example, .classes = CLASSES};
    ck_assert_int_eq(trib_config_parse_text("t", text, strlen(text), &root, NULL), TRIB_OK);
    ck_assert_int_eq(trib_layers_build(trib_config_child(root, "layers"), &spec, &noisy, NULL), TRIB_OK);
    trib_config_free(root);
    /* weight 1, bias 0, running mean 0, running variance 1 - epsilon: the norm is the identity */
    float with_norm[4 * WIDTH + MODEL_N], before[4 * WIDTH + MODEL_N];
    for (size_t i = 0; i < WIDTH; i++) {
        with_norm[i] = 1;
        with_norm[WIDTH + i] = 0;
        with_norm[2 * WIDTH + i] = 0;
        with_norm[3 * WIDTH + i] = 1 - 1e-5f;
    }
    memcpy(with_norm + 4 * WIDTH, model, sizeof model);
    memcpy(before, with_norm, sizeof before);
    struct trib_evaluator *evaluator = evaluator_for(noisy, TRIB_LOSS_CROSS_ENTROPY, NULL, 10);
    struct trib_evaluation got, expected = expected_of(NULL, N);
    ck_assert_int_eq(trib_evaluator_run(evaluator, with_norm, NULL, 0, &got, NULL), TRIB_OK);
    expect_equal(&got, &expected);
    ck_assert_mem_eq(with_norm, before, sizeof before);
    trib_evaluator_free(evaluator);
    trib_graph_free(noisy);
}
END_TEST

START_TEST(threads_change_no_bit)
{
    struct trib_evaluation first = {0};
    for (int threads = 1; threads <= 3; threads++) {
        struct trib_thread_pool *pool;
        ck_assert_int_eq(trib_thread_pool_new(threads, &pool, NULL), TRIB_OK);
        struct trib_evaluator *evaluator = evaluator_for(graph, TRIB_LOSS_CROSS_ENTROPY, pool, 8);
        struct trib_evaluation got;
        ck_assert_int_eq(trib_evaluator_run(evaluator, model, NULL, 0, &got, NULL), TRIB_OK);
        first = threads == 1 ? got : first;
        ck_assert(memcmp(&got.loss, &first.loss, sizeof got.loss) == 0);
        trib_evaluator_free(evaluator);
        trib_thread_pool_free(pool);
    }
}
END_TEST

START_TEST(a_diverged_model_has_a_loss_that_is_not_finite)
{
    model[0] = NAN;
    struct trib_evaluator *evaluator = evaluator_for(graph, TRIB_LOSS_CROSS_ENTROPY, NULL, 8);
    struct trib_evaluation got;
    ck_assert_int_eq(trib_evaluator_run(evaluator, model, NULL, 0, &got, NULL), TRIB_OK);
    ck_assert(!isfinite(got.loss));
    trib_evaluator_free(evaluator);
}
END_TEST

START_TEST(wrong_calls_are_refused)
{
    struct trib_evaluator *evaluator = NULL;
    struct trib_error error = {0};
    const struct trib_backend *backend = trib_backend_default();
    ck_assert_int_eq(trib_evaluator_new(graph, TRIB_LOSS_CROSS_ENTROPY, &data, backend, NULL, 0, &evaluator, &error),
                     TRIB_INVALID);
    data.example = TRIB_SHAPE(7);
    ck_assert_int_eq(trib_evaluator_new(graph, TRIB_LOSS_CROSS_ENTROPY, &data, backend, NULL, 8, &evaluator, &error),
                     TRIB_MISMATCH);
    ck_assert_str_eq(error.message, "the model takes examples of [5], but the dataset's are [7]; give the dataset that "
                                    "this model is meant for");
    data.example = TRIB_SHAPE(WIDTH);
    ck_assert_ptr_null(evaluator);
    evaluator = evaluator_for(graph, TRIB_LOSS_CROSS_ENTROPY, NULL, 8);
    struct trib_evaluation got = {.examples = 99};
    const uint32_t beyond[] = {0, N};
    ck_assert_int_eq(trib_evaluator_run(evaluator, model, beyond, 2, &got, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "example 37 is outside the dataset's 37");
    ck_assert_int_eq(trib_evaluator_run(evaluator, model, beyond, 0, &got, &error), TRIB_INVALID);
    ck_assert_uint_eq(got.examples, 99);
    trib_evaluator_free(evaluator);
    trib_evaluator_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evaluate");
    TCase *tcase = tcase_create("evaluate");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, figures_are_those_of_a_plain_computation);
    tcase_add_test(tcase, ignored_labels_do_not_count);
    tcase_add_test(tcase, of_equal_logits_the_first_is_the_answer);
    tcase_add_test(tcase, regression_has_a_loss_and_no_accuracy);
    tcase_add_test(tcase, the_inference_form_is_what_runs);
    tcase_add_test(tcase, threads_change_no_bit);
    tcase_add_test(tcase, a_diverged_model_has_a_loss_that_is_not_finite);
    tcase_add_test(tcase, wrong_calls_are_refused);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
