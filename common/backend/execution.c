/* An execution runs a plan on a backend: it chooses the kernels once, then for every run binds pointers and calls them
 * in order. One thread at a time per execution; kernels use the pool. */
#include "backend/backend.h"

#include "base/clock.h"
#include "base/mem.h"

#include "tables.h"

#include <string.h>

/* Where one operand of a call lies; bound to a pointer at each run, as inputs, model and gradient may move. */
struct operand {
    struct trib_placement placement;
    struct trib_tensor *tensor;
};

struct step {
    struct trib_kernel_call call;
    trib_kernel run;
    int64_t spent_ns;
};

struct trib_execution {
    const struct trib_backend *backend;
    const struct trib_plan *plan;
    struct step *steps;
    size_t steps_n;
    struct operand *operands;
    size_t operands_n;
    uint8_t *arena;
    void *workspace;
    bool writes_gradient; /* a run needs run->gradient */
    const void **inputs;  /* of the last run */
    size_t inputs_n;
    float *model, *gradient; /* of the last run */
    bool profile;
    int64_t runs; /* while profiling */
};

/* ---- preparing ---- */

static enum trib_status choose_kernel(struct trib_execution *execution, struct step *step, int threads,
                                      size_t *workspace_bytes, struct trib_error *error)
{
    const struct trib_backend *backend = execution->backend;
    struct trib_kernel_choice choice = {0};
    backend->choose(&step->call, threads, &choice);
    if (!choice.run && (backend->caps & TRIB_BACKEND_HOST_MEMORY) != 0) {
        choice = (struct trib_kernel_choice){.run = trib_reference_kernel(step->call.op)};
    }
    if (!choice.run) {
        char shape[96];
        return trib_fail(error, TRIB_UNSUPPORTED, "backend %s has no kernel for %s of %s; choose another backend",
                         backend->name, trib_op_info(step->call.op)->name,
                         trib_shape_format(&step->call.inputs[0].shape, shape, sizeof shape));
    }
    step->run = choice.run;
    if (choice.workspace_bytes > *workspace_bytes) {
        *workspace_bytes = choice.workspace_bytes;
    }
    return TRIB_OK;
}

static void add_operand(struct trib_execution *execution, trib_value value, struct trib_tensor *tensor)
{
    *tensor = (struct trib_tensor){
        .dtype = trib_graph_value(trib_plan_graph(execution->plan), value)->dtype,
        .shape = trib_plan_shape(execution->plan, value),
    };
    struct trib_placement placement = trib_plan_placement(execution->plan, value);
    execution->operands[execution->operands_n++] = (struct operand){.placement = placement, .tensor = tensor};
    execution->writes_gradient = execution->writes_gradient || placement.home == TRIB_HOME_GRADIENT;
}

static void describe_call(struct trib_execution *execution, struct step *step, uint32_t at,
                          struct trib_thread_pool *pool)
{
    const struct trib_node *node = trib_graph_node_at(trib_plan_graph(execution->plan), at);
    step->call = (struct trib_kernel_call){
        .op = node->op,
        .attributes = &node->attributes,
        .n_inputs = node->n_inputs,
        .n_outputs = trib_op_info(node->op)->n_outputs,
        .pool = pool,
    };
    for (int i = 0; i < step->call.n_inputs; i++) {
        add_operand(execution, node->inputs[i], &step->call.inputs[i]);
    }
    for (int o = 0; o < step->call.n_outputs; o++) {
        add_operand(execution, node->outputs[o], &step->call.outputs[o]);
    }
}

static enum trib_status prepare(struct trib_execution *execution, struct trib_thread_pool *pool,
                                struct trib_error *error)
{
    const struct trib_plan *plan = execution->plan;
    const struct trib_step *steps;
    size_t workspace_bytes = 0, arena_bytes = trib_plan_arena_bytes(plan);
    execution->steps_n = trib_plan_steps(plan, &steps);
    execution->inputs_n = trib_plan_n_inputs(plan);
    execution->steps = trib_calloc(execution->steps_n, sizeof *execution->steps);
    execution->operands =
        trib_calloc(execution->steps_n, (TRIB_MAX_INPUTS + TRIB_MAX_OUTPUTS) * sizeof *execution->operands);
    execution->inputs = trib_calloc(execution->inputs_n, sizeof *execution->inputs);
    execution->arena = trib_malloc_aligned(arena_bytes, 1);
    if (!execution->steps || !execution->operands || !execution->inputs || !execution->arena) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory: %zu bytes of results for a batch of %lld", arena_bytes,
                         (long long)trib_plan_batch(plan));
    }
    int threads = pool ? trib_thread_pool_threads(pool) : 1;
    for (size_t i = 0; i < execution->steps_n; i++) {
        describe_call(execution, &execution->steps[i], steps[i].node, pool);
        TRIB_TRY(choose_kernel(execution, &execution->steps[i], threads, &workspace_bytes, error));
    }
    const struct trib_plan_copy *copies;
    if (trib_plan_gradient_copies(plan, &copies) > 0) {
        execution->writes_gradient = true;
    }
    execution->workspace = trib_malloc_aligned(workspace_bytes, 1);
    if (!execution->workspace) {
        return trib_fail(error, TRIB_NO_MEMORY, "out of memory: %zu bytes of workspace", workspace_bytes);
    }
    for (size_t i = 0; i < execution->steps_n; i++) {
        execution->steps[i].call.workspace = execution->workspace;
    }
    return TRIB_OK;
}

enum trib_status trib_execution_new(const struct trib_backend *backend, const struct trib_plan *plan,
                                    struct trib_thread_pool *pool, struct trib_execution **execution,
                                    struct trib_error *error)
{
    if (backend->probe) {
        TRIB_TRY(backend->probe(error));
    }
    struct trib_execution *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->backend = backend;
    made->plan = plan;
    enum trib_status status = prepare(made, pool, error);
    if (status != TRIB_OK) {
        trib_execution_free(made);
        return status;
    }
    *execution = made;
    return TRIB_OK;
}

void trib_execution_free(struct trib_execution *execution)
{
    if (!execution) {
        return;
    }
    trib_free(execution->steps);
    trib_free(execution->operands);
    trib_free(execution->inputs);
    trib_free(execution->arena);
    trib_free(execution->workspace);
    trib_free(execution);
}

/* ---- running ---- */

static void *resolve(const struct trib_execution *execution, struct trib_placement placement)
{
    /* Kernels take one pointer type for what they read and write; what is const here is never an output. */
    union {
        const void *from;
        void *to;
    } cast = {.from = NULL};
    switch (placement.home) {
    case TRIB_HOME_NONE:
        break;
    case TRIB_HOME_INPUT:
        cast.from = execution->inputs[placement.offset];
        break;
    case TRIB_HOME_MODEL:
        return execution->model ? execution->model + placement.offset : NULL;
    case TRIB_HOME_GRADIENT:
        return execution->gradient ? execution->gradient + placement.offset : NULL;
    case TRIB_HOME_CONSTANT: {
        size_t len;
        cast.from = trib_plan_constants(execution->plan, &len) + placement.offset;
        break;
    }
    case TRIB_HOME_ARENA:
        return execution->arena + placement.offset;
    }
    return cast.to;
}

static enum trib_status check_run(const struct trib_execution *execution, const struct trib_execution_values *run,
                                  struct trib_error *error)
{
    for (size_t i = 0; i < execution->inputs_n; i++) {
        if (!run->inputs || !run->inputs[i]) {
            return trib_fail(error, TRIB_INVALID, "graph input %zu of %zu is not given", i + 1, execution->inputs_n);
        }
    }
    if (!run->model && trib_plan_model_floats(execution->plan) > 0) {
        return trib_fail(error, TRIB_INVALID, "the graph has parameters but no model vector is given");
    }
    if (!run->gradient && execution->writes_gradient) {
        return trib_fail(error, TRIB_INVALID, "the graph has gradients but no gradient vector is given");
    }
    return TRIB_OK;
}

static void copy_links(const struct trib_execution *execution, const struct trib_plan_copy *copies, size_t n, float *to)
{
    for (size_t i = 0; i < n; i++) {
        const float *from = trib_execution_data(execution, copies[i].from);
        memmove(to + copies[i].model_offset, from, copies[i].n * sizeof *to);
    }
}

static void run_steps(struct trib_execution *execution, const struct trib_execution_values *run)
{
    int64_t before = execution->profile ? trib_clock_ns() : 0;
    for (size_t i = 0; i < execution->steps_n; i++) {
        struct step *step = &execution->steps[i];
        step->call.seed = run->seed;
        step->call.step = run->step;
        step->run(&step->call);
        if (execution->profile) {
            int64_t after = trib_clock_ns();
            step->spent_ns += after - before;
            before = after;
        }
    }
    execution->runs += execution->profile;
}

enum trib_status trib_execution_run(struct trib_execution *execution, const struct trib_execution_values *run,
                                    struct trib_error *error)
{
    TRIB_TRY(check_run(execution, run, error));
    for (size_t i = 0; i < execution->inputs_n; i++) {
        execution->inputs[i] = run->inputs[i];
    }
    execution->model = run->model;
    execution->gradient = run->gradient;
    for (size_t i = 0; i < execution->operands_n; i++) {
        execution->operands[i].tensor->data = resolve(execution, execution->operands[i].placement);
    }
    run_steps(execution, run);
    const struct trib_plan_copy *copies;
    /* Gradients first: one may be a copy of a state, which must be the state that the steps read. */
    size_t n = trib_plan_gradient_copies(execution->plan, &copies);
    copy_links(execution, copies, n, run->gradient);
    n = trib_plan_updates(execution->plan, &copies);
    copy_links(execution, copies, n, run->model);
    return TRIB_OK;
}

const void *trib_execution_data(const struct trib_execution *execution, trib_value value)
{
    return resolve(execution, trib_plan_placement(execution->plan, value));
}

/* ---- profile ---- */

void trib_execution_profile(struct trib_execution *execution, bool on)
{
    execution->profile = on;
}

enum trib_status trib_execution_print_profile(const struct trib_execution *execution, struct trib_buf *text)
{
    int64_t total_ns = 0;
    for (size_t i = 0; i < execution->steps_n; i++) {
        total_ns += execution->steps[i].spent_ns;
    }
    TRIB_TRY(trib_buf_printf(text, "%-28s %-22s %8s %10s %6s\n", "op", "result", "calls", "ms", "share"));
    for (size_t i = 0; i < execution->steps_n; i++) {
        const struct step *step = &execution->steps[i];
        char shape[96];
        TRIB_TRY(trib_buf_printf(text, "%-28s %-22s %8lld %10.3f %5.1f%%\n", trib_op_info(step->call.op)->name,
                                 trib_shape_format(&step->call.outputs[0].shape, shape, sizeof shape),
                                 (long long)execution->runs, (double)step->spent_ns * 1e-6,
                                 total_ns > 0 ? 100.0 * (double)step->spent_ns / (double)total_ns : 0.0));
    }
    return trib_buf_printf(text, "%-28s %-22s %8lld %10.3f 100.0%%\n", "total", "", (long long)execution->runs,
                           (double)total_ns * 1e-6);
}
