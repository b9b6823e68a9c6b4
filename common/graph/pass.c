/* The list of passes and the pipeline that runs them until nothing changes. */
#include "graph/pass.h"

#include "base/mem.h"
#include "graph_private.h"

enum { MAX_ROUNDS = 8 };

static const struct trib_pass *const passes[] = {
    &trib_pass_dead_code, &trib_pass_common_subexpression, &trib_pass_constant_folding, &trib_pass_redundant_op,
    &trib_pass_fusion,
};
enum { N_PASSES = sizeof passes / sizeof passes[0] };

size_t trib_passes(const struct trib_pass *const **list)
{
    *list = passes;
    return N_PASSES;
}

static enum trib_status print_change(const struct trib_pass *pass, const struct trib_graph *before,
                                     const struct trib_graph *after, struct trib_buf *trace)
{
    TRIB_TRY(trib_buf_printf(trace, "== %s: %s\n-- before\n", pass->name, pass->help));
    TRIB_TRY(trib_graph_print(before, trace));
    TRIB_TRY(trib_buf_add_text(trace, "-- after\n"));
    return trib_graph_print(after, trace);
}

/* Replace *graph by what the pass makes of it. */
static enum trib_status apply(const struct trib_pass *pass, struct trib_graph **graph, bool *changed,
                              struct trib_buf *trace, struct trib_error *error)
{
    struct trib_graph *after;
    enum trib_status status = pass->run(*graph, &after, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "%s", pass->name);
    }
    if (trib_graph_equal(*graph, after)) {
        trib_graph_free(after);
        return TRIB_OK;
    }
    *changed = true;
    if (trace && print_change(pass, *graph, after, trace) != TRIB_OK) {
        trib_graph_free(after);
        return trib_fail_no_memory(error);
    }
    trib_graph_free(*graph);
    *graph = after;
    return TRIB_OK;
}

enum trib_status trib_pass_pipeline(const struct trib_graph *graph, struct trib_graph **result, struct trib_buf *trace,
                                    struct trib_error *error)
{
    struct trib_graph *current;
    TRIB_TRY(trib_graph_copy(graph, &current, error));
    enum trib_status status = TRIB_OK;
    bool changed = true;
    for (int round = 0; status == TRIB_OK && changed && round < MAX_ROUNDS; round++) {
        changed = false;
        for (size_t i = 0; status == TRIB_OK && i < N_PASSES; i++) {
            status = apply(passes[i], &current, &changed, trace, error);
        }
    }
    /* A pipeline that was cut short may leave what its last round made useless. */
    if (status == TRIB_OK && changed) {
        status = apply(&trib_pass_dead_code, &current, &changed, trace, error);
    }
    if (status != TRIB_OK) {
        trib_graph_free(current);
        return status;
    }
    *result = current;
    return TRIB_OK;
}
