/* The list of backends as a whole: losses against the reference; an op for every case, a program for every family; and
 * what is no number stays one. */
#include "kernel_trial.h"

#include <unistd.h>

START_TEST(every_op_has_a_case)
{
    cases_n = 0;
    for (size_t i = 0; i < FAMILIES; i++) {
        families[i].add();
    }
    for (int op = 0; op < TRIB_OP_COUNT; op++) {
        size_t seen = 0;
        for (size_t i = 0; i < cases_n; i++) {
            seen += cases[i].op == (enum trib_op)op;
        }
        ck_assert_msg(seen > 0, "no case for %s: add one to cases.h", trib_op_info((enum trib_op)op)->name);
    }
}
END_TEST

START_TEST(a_label_out_of_range_shows_as_nan)
{
    const struct trib_backend *const *list;
    ck_assert_uint_lt((unsigned)_i, trib_backends(&list));
    float logits[6] = {0, 1, 2, 3, 4, 5}, loss = 0, probabilities[6], dloss = 1, dlogits[6] = {0};
    int32_t labels[2] = {1, 3};
    struct trib_kernel_call call = {.op = TRIB_OP_SOFTMAX_CROSS_ENTROPY, .n_inputs = 2, .n_outputs = 2};
    struct trib_tensor scores = {.shape = TRIB_SHAPE(2, 3), .data = logits};
    struct trib_tensor classes = {.dtype = TRIB_I32, .shape = TRIB_SHAPE(2), .data = labels};
    call.attributes = &(struct trib_attributes){0};
    call.inputs[0] = scores;
    call.inputs[1] = classes;
    call.outputs[0] = (struct trib_tensor){.shape = TRIB_SCALAR, .data = &loss};
    call.outputs[1] = (struct trib_tensor){.shape = TRIB_SHAPE(2, 3), .data = probabilities};
    run_kernel(list[_i], &call, NULL, "softmax_cross_entropy");
    struct trib_kernel_call grad = {.op = TRIB_OP_SOFTMAX_CROSS_ENTROPY_GRAD, .n_inputs = 3, .n_outputs = 1};
    grad.attributes = call.attributes;
    grad.inputs[0] = (struct trib_tensor){.shape = TRIB_SCALAR, .data = &dloss};
    grad.inputs[1] = call.outputs[1];
    grad.inputs[2] = classes;
    grad.outputs[0] = (struct trib_tensor){.shape = TRIB_SHAPE(2, 3), .data = dlogits};
    struct trib_kernel_choice choice = {0};
    list[_i]->choose(&call, 1, &choice);
    if (choice.run) {
        ck_assert(isnan(loss));
        run_kernel(list[_i], &grad, NULL, "softmax_cross_entropy_grad");
        ck_assert(isfinite(dlogits[0]) && isnan(dlogits[3]));
    }
}
END_TEST

START_TEST(every_family_has_a_program)
{
    const char *data = getenv("TRIB_TEST_DATA");
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < FAMILIES; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/../conform/backend/%s.c", data, families[i].program);
        ck_assert_msg(access(path, R_OK) == 0, "no such program: %s", path);
    }
}
END_TEST

/* One NaN among the inputs of a product with a relu behind it: every output that it takes part in is NaN, as the
 * reference says. A model that has diverged must show it. The number of such outputs. */
static size_t check_nan(const struct conform_case *from, const struct trib_backend *const *backends, size_t n,
                        int input)
{
    struct trial trial;
    start_trial(&trial, from);
    float *numbers = data_of(&trial.inputs[input]);
    const float *want = data_of(&trial.expected[0]);
    size_t n_nan = 0;
    numbers[trial.inputs[input].n / 2] = NAN;
    struct trib_kernel_call call = trial.call;
    call.outputs[0].data = data_of(&trial.expected[0]);
    run_kernel(trib_backend_find("reference"), &call, NULL, trial.what);
    for (size_t b = 0; b < n; b++) {
        struct buffer output = buffer_new(trial.expected[0].n);
        const float *have = data_of(&output);
        struct trib_kernel_choice choice = {0};
        backends[b]->choose(&trial.call, 1, &choice);
        call.outputs[0].data = data_of(&output);
        if (choice.run) {
            run_kernel(backends[b], &call, NULL, trial.what);
        }
        for (size_t i = 0; choice.run && i < output.n; i++) {
            n_nan += isnan(want[i]) != 0;
            if (isnan(want[i]) && !isnan(have[i])) {
                ck_abort_msg("%s on %s: element %zu is %g after a NaN in input %d", trial.what, backends[b]->name, i,
                             (double)have[i], input);
            }
        }
        trib_free(output.all);
    }
    end_trial(&trial);
    return n_nan;
}

START_TEST(a_relu_behind_a_product_lets_nan_through)
{
    const struct trib_backend *backends[BACKENDS_MAX];
    size_t n_backends = find_backends(backends), n = 0;
    cases_n = 0;
    add_products();
    add_convolutions();
    for (size_t i = 0; i < cases_n; i++) {
        if (cases[i].attributes.activation != TRIB_ACTIVATION_NONE) {
            cases[i].attributes.activation = TRIB_ACTIVATION_RELU;
            for (int input = 0; input < cases[i].n_inputs; input++) {
                n += check_nan(&cases[i], backends, n_backends, input) > 0;
            }
        }
    }
    ck_assert_uint_ge(n, 200);
}
END_TEST

int main(void)
{
    const struct trib_backend *const *list;
    int backends = (int)trib_backends(&list);
    TCase *tests;
    Suite *suite = family_suite("conform_backend", add_losses, &tests);
    tcase_add_test(tests, every_op_has_a_case);
    tcase_add_test(tests, every_family_has_a_program);
    tcase_add_loop_test(tests, a_label_out_of_range_shows_as_nan, 0, backends);
    tcase_add_test(tests, a_relu_behind_a_product_lets_nan_through);
    return trib_test_run(suite);
}
