/* Reading and printing a finished plan. */
#include "base/mem.h"
#include "base/str.h"
#include "graph_private.h"
#include "plan_private.h"

#include <inttypes.h>

void trib_plan_free(struct trib_plan *plan)
{
    if (!plan) {
        return;
    }
    trib_graph_free(plan->graph);
    trib_free(plan->placements);
    trib_free(plan->steps);
    trib_free(plan->constants);
    trib_free(plan->updates);
    trib_free(plan->gradient_copies);
    trib_free(plan);
}

const struct trib_graph *trib_plan_graph(const struct trib_plan *plan)
{
    return plan->graph;
}

int64_t trib_plan_batch(const struct trib_plan *plan)
{
    return plan->batch;
}

size_t trib_plan_steps(const struct trib_plan *plan, const struct trib_step **steps)
{
    *steps = plan->steps;
    return plan->n_steps;
}

struct trib_placement trib_plan_placement(const struct trib_plan *plan, trib_value value)
{
    return value < plan->graph->n_values ? plan->placements[value] : (struct trib_placement){.home = TRIB_HOME_NONE};
}

struct trib_shape trib_plan_shape(const struct trib_plan *plan, trib_value value)
{
    return trib_shape_bind(&plan->graph->values[value].info.shape, plan->batch);
}

size_t trib_plan_arena_bytes(const struct trib_plan *plan)
{
    return plan->arena_bytes;
}

size_t trib_plan_model_floats(const struct trib_plan *plan)
{
    return plan->model_floats;
}

const uint8_t *trib_plan_constants(const struct trib_plan *plan, size_t *len)
{
    *len = plan->constants_len;
    return plan->constants;
}

size_t trib_plan_n_inputs(const struct trib_plan *plan)
{
    return plan->n_inputs;
}

size_t trib_plan_unshared_bytes(const struct trib_plan *plan)
{
    return plan->unshared_bytes;
}

size_t trib_plan_updates(const struct trib_plan *plan, const struct trib_plan_copy **copies)
{
    *copies = plan->updates;
    return plan->n_updates;
}

size_t trib_plan_gradient_copies(const struct trib_plan *plan, const struct trib_plan_copy **copies)
{
    *copies = plan->gradient_copies;
    return plan->n_gradient_copies;
}

static const char *const home_names[] = {
    [TRIB_HOME_NONE] = "nowhere",      [TRIB_HOME_INPUT] = "input",       [TRIB_HOME_MODEL] = "model",
    [TRIB_HOME_GRADIENT] = "gradient", [TRIB_HOME_CONSTANT] = "constant", [TRIB_HOME_ARENA] = "arena",
};

static enum trib_status print_step(const struct trib_plan *plan, size_t step, struct trib_buf *text)
{
    const struct trib_node *node = &plan->graph->nodes[plan->steps[step].node];
    TRIB_TRY(trib_buf_printf(text, "%4zu  ", step));
    TRIB_TRY(trib_graph_print_node(plan->graph, plan->steps[step].node, text));
    TRIB_TRY(trib_buf_add_text(text, "  ->"));
    for (int i = 0; i < trib_op_info(node->op)->n_outputs; i++) {
        struct trib_placement placement = plan->placements[node->outputs[i]];
        TRIB_TRY(trib_buf_printf(text, " %s", home_names[placement.home]));
        if (placement.home != TRIB_HOME_NONE) {
            TRIB_TRY(trib_buf_printf(text, "+%zu", placement.offset));
        }
    }
    return trib_buf_add_text(text, "\n");
}

static enum trib_status print_copies(const struct trib_plan *plan, const char *to, const struct trib_plan_copy *copies,
                                     size_t n, struct trib_buf *text)
{
    for (size_t i = 0; i < n; i++) {
        TRIB_TRY(trib_buf_add_text(text, "copy  "));
        TRIB_TRY(trib_graph_print_value(plan->graph, copies[i].from, text));
        TRIB_TRY(trib_buf_printf(text, "  -> %s+%zu, %zu floats\n", to, copies[i].model_offset, copies[i].n));
    }
    return TRIB_OK;
}

enum trib_status trib_plan_print(const struct trib_plan *plan, struct trib_buf *text)
{
    char arena[32], unshared[32];
    TRIB_TRY(
        trib_buf_printf(text, "batch %" PRId64 ", %zu steps, arena %s (%s without reuse), model %zu floats\n",
                        plan->batch, plan->n_steps, trib_format_size((double)plan->arena_bytes, arena, sizeof arena),
                        trib_format_size((double)plan->unshared_bytes, unshared, sizeof unshared), plan->model_floats));
    for (size_t step = 0; step < plan->n_steps; step++) {
        TRIB_TRY(print_step(plan, step, text));
    }
    TRIB_TRY(print_copies(plan, "gradient", plan->gradient_copies, plan->n_gradient_copies, text));
    return print_copies(plan, "model", plan->updates, plan->n_updates, text);
}
