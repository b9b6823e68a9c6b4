/* A trial of kernels: every kernel of every backend against the reference, on the cases of one family of cases.h.
 * Values within rounding, nothing written outside the outputs and the workspace, nothing left unwritten, unwanted
 * outputs left alone, in-place calls where the op allows them, and the same bits for any number of threads. Each family
 * is a program of its own, so that they run beside each other. */
#ifndef TRIB_CONFORM_KERNEL_TRIAL_H
#define TRIB_CONFORM_KERNEL_TRIAL_H

#include "test_main.h"

#include "backend/backend.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cases.h"

/* Around every buffer, to see writes outside it; odd, so that data is aligned as a parameter in the middle of the
 * model vector is: to 4 bytes. */
enum { GUARD = 19, THREADS_MAX = 3, BACKENDS_MAX = 16 };
static const uint32_t guard_word = 0x7fc0dead; /* a NaN */

struct buffer {
    uint32_t *all;
    size_t n;
};

static inline struct buffer buffer_new(size_t n)
{
    struct buffer made = {.all = trib_malloc_aligned(n + 2 * (size_t)GUARD, sizeof(uint32_t)), .n = n};
    ck_assert_ptr_nonnull(made.all);
    for (size_t i = 0; i < n + 2 * (size_t)GUARD; i++) {
        made.all[i] = guard_word;
    }
    return made;
}

static inline void *data_of(const struct buffer *buffer)
{
    return buffer->all + GUARD;
}

static inline void check_guards(const struct buffer *buffer, const char *what)
{
    for (size_t i = 0; i < GUARD; i++) {
        if (buffer->all[i] != guard_word || buffer->all[GUARD + buffer->n + i] != guard_word) {
            ck_abort_msg("%s: wrote outside the output of %zu elements", what, buffer->n);
        }
    }
}

/* One case made concrete: inputs filled, output shapes known. */
struct trial {
    struct trib_kernel_call call;
    struct buffer inputs[TRIB_MAX_INPUTS];
    struct buffer expected[TRIB_MAX_OUTPUTS];
    char what[160];
};

static inline void name_trial(struct trial *trial, const struct conform_case *from)
{
    char a[64], b[64];
    snprintf(trial->what, sizeof trial->what, "%s(%s, %s) of %d inputs, case %zu", trib_op_info(from->op)->name,
             trib_shape_format(&from->shapes[0], a, sizeof a),
             from->n_inputs > 1 ? trib_shape_format(&from->shapes[1], b, sizeof b) : "", from->n_inputs,
             (size_t)(from - cases));
}

static inline void run_kernel(const struct trib_backend *backend, struct trib_kernel_call *call,
                              struct trib_thread_pool *pool, const char *what)
{
    struct trib_kernel_call shapes = *call;
    for (int i = 0; i < TRIB_MAX_INPUTS; i++) {
        shapes.inputs[i].data = NULL;
    }
    for (int o = 0; o < TRIB_MAX_OUTPUTS; o++) {
        shapes.outputs[o].data = NULL;
    }
    struct trib_kernel_choice choice = {0};
    backend->choose(&shapes, pool ? trib_thread_pool_threads(pool) : 1, &choice);
    if (!choice.run) {
        ck_assert_msg((backend->caps & TRIB_BACKEND_ORACLE) == 0, "%s: the oracle has no kernel", what);
        return;
    }
    size_t guard = 64;
    uint8_t *workspace = trib_malloc_aligned(choice.workspace_bytes + guard, 1);
    ck_assert_ptr_nonnull(workspace);
    memset(workspace, 0xff, choice.workspace_bytes + guard);
    call->workspace = workspace;
    call->pool = pool;
    choice.run(call);
    for (size_t i = 0; i < guard; i++) {
        if (workspace[choice.workspace_bytes + i] != 0xff) {
            ck_abort_msg("%s: %s wrote beyond its workspace of %zu bytes", what, backend->name, choice.workspace_bytes);
        }
    }
    trib_free(workspace);
}

static inline void fill_numbers(struct buffer *buffer, enum fill fill, int64_t classes, struct trib_rng *rng)
{
    float *to = data_of(buffer);
    for (size_t i = 0; i < buffer->n; i++) {
        float draw = trib_rng_uniform(rng);
        switch (fill) {
        case FILL_POSITIVE:
            to[i] = 0.5f + draw;
            break;
        case FILL_LABELS:
            ((int32_t *)data_of(buffer))[i] = draw < 0.2f ? -1 : (int32_t)trib_rng_below(rng, (uint64_t)classes);
            break;
        case FILL_SPARSE:
            to[i] = draw < 0.5f ? 0 : 4 * draw - 3;
            break;
        default:
            to[i] = 2 * draw - 1;
            break;
        }
    }
}

/* Inputs that only the op's forward side can give: an output of the reference's forward kernel. */
static inline void fill_from_forward(const struct conform_case *from, struct trial *trial, int input,
                                     struct trib_rng *rng)
{
    bool pool = from->fills[input] == FILL_INDEX, batch = from->op == TRIB_OP_BATCH_NORM_GRAD;
    struct trib_attributes attributes = from->attributes;
    attributes.training = true;
    struct trib_shape x = pool ? from->attributes.shape : from->shapes[1];
    struct trib_kernel_call call = {.op = pool    ? TRIB_OP_MAX_POOL2D
                                          : batch ? TRIB_OP_BATCH_NORM
                                                  : TRIB_OP_GROUP_NORM,
                                    .attributes = &attributes,
                                    .n_inputs = pool    ? 1
                                                : batch ? 5
                                                        : 3,
                                    .n_outputs = pool    ? 2
                                                 : batch ? 5
                                                         : 3};
    struct buffer numbers = buffer_new(trib_shape_size(&x)), zeros = buffer_new(trib_shape_size(&from->shapes[2]));
    fill_numbers(&numbers, FILL_SPARSE, 0, rng);
    memset(data_of(&zeros), 0, zeros.n * sizeof(float));
    call.inputs[0] = (struct trib_tensor){.shape = x, .data = pool ? data_of(&numbers) : trial->call.inputs[1].data};
    for (int i = 1; i < call.n_inputs; i++) {
        call.inputs[i] = (struct trib_tensor){.shape = from->shapes[2], .data = data_of(&zeros)};
    }
    call.outputs[0].shape = pool ? from->shapes[0] : x;
    int output = from->fills[input] == FILL_INVERSE_STD ? 2 : 1;
    for (int o = 1; o < call.n_outputs; o++) {
        call.outputs[o].shape = from->shapes[input];
    }
    call.outputs[output].data = trial->call.inputs[input].data;
    run_kernel(trib_backend_find("reference"), &call, NULL, trial->what);
    trib_free(numbers.all);
    trib_free(zeros.all);
}

static inline void fill_inputs(struct trial *trial, const struct conform_case *from)
{
    struct trib_rng rng = trib_rng_init(1, "conform", (uint64_t)(from - cases), 0);
    enum trib_op op = from->op;
    for (int i = 0; i < from->n_inputs; i++) {
        struct trib_tensor *input = &trial->call.inputs[i];
        input->shape = from->shapes[i];
        input->dtype = from->fills[i] == FILL_LABELS || from->fills[i] == FILL_INDEX ? TRIB_I32 : TRIB_F32;
        trial->inputs[i] = buffer_new(trib_shape_size(&input->shape));
        input->data = data_of(&trial->inputs[i]);
        if (from->fills[i] == FILL_INDEX || from->fills[i] == FILL_MEAN || from->fills[i] == FILL_INVERSE_STD) {
            fill_from_forward(from, trial, i, &rng);
        } else {
            const struct trib_shape *logits = &from->shapes[op == TRIB_OP_SOFTMAX_CROSS_ENTROPY ? 0 : 1];
            fill_numbers(&trial->inputs[i], from->fills[i], logits->dims[1], &rng);
        }
    }
}

static inline void start_trial(struct trial *trial, const struct conform_case *from)
{
    *trial = (struct trial){.call = {.op = from->op,
                                     .attributes = &from->attributes,
                                     .n_inputs = from->n_inputs,
                                     .n_outputs = trib_op_info(from->op)->n_outputs,
                                     .seed = 5,
                                     .step = 7}};
    name_trial(trial, from);
    fill_inputs(trial, from);
    enum trib_dtype input_dtypes[TRIB_MAX_INPUTS], output_dtypes[TRIB_MAX_OUTPUTS] = {TRIB_F32};
    struct trib_shape outputs[TRIB_MAX_OUTPUTS];
    for (int i = 0; i < from->n_inputs; i++) {
        input_dtypes[i] = trial->call.inputs[i].dtype;
    }
    struct trib_error error = {0};
    struct trib_shape_call infer = {.attributes = &from->attributes,
                                    .n_inputs = from->n_inputs,
                                    .inputs = from->shapes,
                                    .input_dtypes = input_dtypes,
                                    .outputs = outputs,
                                    .output_dtypes = output_dtypes};
    ck_assert_msg(trib_op_info(from->op)->infer(&infer, &error) == TRIB_OK, "%s: %s", trial->what, error.message);
    for (int o = 0; o < trial->call.n_outputs; o++) {
        trial->call.outputs[o] = (struct trib_tensor){.dtype = output_dtypes[o], .shape = outputs[o]};
        trial->expected[o] = buffer_new(trib_shape_size(&outputs[o]));
    }
    struct trib_kernel_call call = trial->call;
    for (int o = 0; o < call.n_outputs; o++) {
        call.outputs[o].data = data_of(&trial->expected[o]);
    }
    run_kernel(trib_backend_find("reference"), &call, NULL, trial->what);
}

static inline void end_trial(struct trial *trial)
{
    for (int i = 0; i < TRIB_MAX_INPUTS; i++) {
        trib_free(trial->inputs[i].all);
        trib_free(trial->expected[i].all);
    }
}

static inline void check_close(const struct trial *trial, int o, const struct buffer *got, const char *backend)
{
    const float *want = data_of(&trial->expected[o]), *have = data_of(got);
    for (size_t i = 0; i < got->n; i++) {
        /* Not an assertion per element: libcheck sends a message for each, also when it holds. */
        bool good = trial->call.outputs[o].dtype == TRIB_I32
                        ? memcmp(&want[i], &have[i], sizeof want[i]) == 0
                        : fabs((double)want[i] - (double)have[i]) <= 5e-5 * (1 + fabs((double)want[i]));
        if (!good) {
            ck_abort_msg("%s on %s: output %d, element %zu is %.9g, expected %.9g", trial->what, backend, o, i,
                         (double)have[i], (double)want[i]);
        }
    }
}

/* Runs the trial with all outputs but those in `unwanted` (a bit each); fills `outputs`. */
static inline bool run_trial(const struct trial *trial, const struct trib_backend *backend,
                             struct trib_thread_pool *pool, unsigned unwanted, struct buffer *outputs)
{
    struct trib_kernel_choice choice = {0};
    backend->choose(&trial->call, 1, &choice);
    if (!choice.run) {
        return false;
    }
    struct trib_kernel_call call = trial->call;
    for (int o = 0; o < call.n_outputs; o++) {
        outputs[o] = buffer_new(trial->expected[o].n);
        call.outputs[o].data = unwanted & (1u << o) ? NULL : data_of(&outputs[o]);
    }
    run_kernel(backend, &call, pool, trial->what);
    for (int o = 0; o < call.n_outputs; o++) {
        check_guards(&outputs[o], trial->what);
        if (!(unwanted & (1u << o))) {
            check_close(trial, o, &outputs[o], backend->name);
        }
    }
    return true;
}

static inline void free_outputs(struct buffer *outputs, int n)
{
    for (int o = 0; o < n; o++) {
        trib_free(outputs[o].all);
    }
}

static inline void check_in_place(const struct trial *trial, const struct trib_backend *backend,
                                  struct trib_thread_pool *pool)
{
    struct buffer shared = buffer_new(trial->expected[0].n);
    memcpy(data_of(&shared), trial->call.inputs[0].data, shared.n * sizeof(float));
    struct trib_kernel_call call = trial->call;
    call.inputs[0].data = call.outputs[0].data = data_of(&shared);
    run_kernel(backend, &call, pool, trial->what);
    check_guards(&shared, trial->what);
    check_close(trial, 0, &shared, backend->name);
    trib_free(shared.all);
}

/* One backend on a case. The oracle computes in one way only, slowly: it is asked for fewer numbers of threads. */
static inline void check_backend(const struct trial *trial, const struct trib_backend *backend,
                                 struct trib_thread_pool *const *pools)
{
    struct buffer first[TRIB_MAX_OUTPUTS], again[TRIB_MAX_OUTPUTS];
    int n = trial->call.n_outputs;
    if (!run_trial(trial, backend, NULL, 0, first)) {
        return;
    }
    for (int threads = backend->caps & TRIB_BACKEND_ORACLE ? THREADS_MAX : 1; threads <= THREADS_MAX; threads++) {
        ck_assert(run_trial(trial, backend, pools[threads - 1], 0, again));
        for (int o = 0; o < n; o++) {
            ck_assert_msg(memcmp(data_of(&first[o]), data_of(&again[o]), first[o].n * 4) == 0,
                          "%s on %s: %d threads give other bits in output %d", trial->what, backend->name, threads, o);
        }
        free_outputs(again, n);
    }
    for (int o = 0; o < n && n > 1; o++) {
        ck_assert(run_trial(trial, backend, pools[1], 1u << o, again));
        free_outputs(again, n);
    }
    if (trib_op_info(trial->call.op)->elementwise) {
        check_in_place(trial, backend, pools[1]);
    }
    free_outputs(first, n);
}

/* The registered backends whose kernels can be called here, on our memory. */
static inline size_t find_backends(const struct trib_backend *found[BACKENDS_MAX])
{
    const struct trib_backend *const *list;
    size_t n = 0, of = trib_backends(&list);
    struct trib_error error = {0};
    ck_assert_uint_le(of, BACKENDS_MAX);
    for (size_t i = 0; i < of; i++) {
        if (list[i]->probe && list[i]->probe(&error) != TRIB_OK) {
            printf("backend %s is not available here: %s\n", list[i]->name, error.message);
        } else if ((list[i]->caps & TRIB_BACKEND_HOST_MEMORY) == 0) {
            printf("backend %s has memory of its own: its kernels cannot be called on ours\n", list[i]->name);
        } else {
            found[n++] = list[i];
        }
    }
    return n;
}

/* The family of this program. */
static void (*add_family)(void);

START_TEST(every_backend_agrees_with_the_reference)
{
    const struct trib_backend *backends[BACKENDS_MAX];
    struct trib_thread_pool *pools[THREADS_MAX];
    size_t n = find_backends(backends);
    for (int i = 0; i < THREADS_MAX; i++) {
        ck_assert_int_eq(trib_thread_pool_new(i + 1, &pools[i], NULL), TRIB_OK);
    }
    cases_n = 0;
    add_family();
    for (size_t i = 0; i < cases_n; i++) {
        struct trial trial;
        start_trial(&trial, &cases[i]);
        for (size_t b = 0; b < n; b++) {
            check_backend(&trial, backends[b], pools);
        }
        end_trial(&trial);
    }
    for (int i = 0; i < THREADS_MAX; i++) {
        trib_thread_pool_free(pools[i]);
    }
}
END_TEST

/* A suite of the family, which may be added to. */
static inline Suite *family_suite(const char *name, void (*add)(void), TCase **tests)
{
    Suite *suite = suite_create(name);
    add_family = add;
    *tests = tcase_create("kernels");
    tcase_set_timeout(*tests, 280);
    tcase_add_test(*tests, every_backend_agrees_with_the_reference);
    suite_add_tcase(suite, *tests);
    return suite;
}

#endif
