/* An explanation is what happens to a model before it is trained, as text for people. Any thread. */
#include "train/trainer.h"

#include "loss.h"

#include "base/mem.h"
#include "base/str.h"
#include "graph/autograd.h"
#include "graph/pass.h"
#include "graph/plan.h"

static enum trib_status explain_plan(const struct trib_graph *graph, int64_t batch, struct trib_buf *text,
                                     struct trib_error *error)
{
    struct trib_plan *plan = NULL;
    TRIB_TRY(trib_plan_new(graph, batch, 0, &plan, error));
    char arena[32], unshared[32], model[32];
    trib_format_size((double)trib_plan_arena_bytes(plan), arena, sizeof arena);
    trib_format_size((double)trib_plan_unshared_bytes(plan), unshared, sizeof unshared);
    trib_format_size((double)trib_plan_model_floats(plan) * sizeof(float), model, sizeof model);
    enum trib_status status =
        trib_buf_printf(text, "\n== memory plan, batch %lld\nmodel %s, gradients %s, arena %s (%s without reuse)\n",
                        (long long)batch, model, model, arena, unshared);
    if (status == TRIB_OK) {
        status = trib_plan_print(plan, text);
    }
    trib_plan_free(plan);
    return status;
}

static enum trib_status explain_graph(struct trib_graph *graph, enum trib_loss loss, int64_t batch,
                                      struct trib_buf *text, struct trib_error *error)
{
    TRIB_TRY(trib_buf_add_text(text, "== model\n"));
    TRIB_TRY(trib_graph_print(graph, text));
    trib_value value = TRIB_NO_VALUE;
    TRIB_TRY(trib_loss_attach(graph, loss, &value, error));
    TRIB_TRY(trib_autograd(graph, value, error));
    TRIB_TRY(trib_buf_add_text(text, "\n== with loss and gradients\n"));
    TRIB_TRY(trib_graph_print(graph, text));
    TRIB_TRY(trib_buf_add_text(text, "\n== passes\n"));
    struct trib_graph *result = NULL;
    TRIB_TRY(trib_pass_pipeline(graph, &result, text, error));
    enum trib_status status = trib_buf_add_text(text, "\n== after the passes\n");
    if (status == TRIB_OK) {
        status = trib_graph_print(result, text);
    }
    if (status == TRIB_OK) {
        status = explain_plan(result, batch, text, error);
    }
    trib_graph_free(result);
    return status;
}

enum trib_status trib_trainer_explain(const struct trib_graph *graph, enum trib_loss loss, int64_t batch,
                                      struct trib_buf *text, struct trib_error *error)
{
    if ((unsigned)loss >= TRIB_LOSS_COUNT || batch < 1) {
        return trib_fail(error, TRIB_INVALID, "loss %d or batch %lld is out of range", (int)loss, (long long)batch);
    }
    struct trib_graph *copy = NULL;
    TRIB_TRY(trib_graph_copy(graph, &copy, error));
    struct trib_buf made = {0};
    /* the text's own failures carry no message */
    if (error) {
        error->message[0] = '\0';
    }
    enum trib_status status = explain_graph(copy, loss, batch, &made, error);
    trib_graph_free(copy);
    if (status == TRIB_OK) {
        status = trib_buf_add(text, made.data, made.len);
    }
    trib_buf_clear(&made);
    if (status != TRIB_OK && error && error->message[0] == '\0') {
        return trib_fail(error, status, "%s", trib_status_text(status));
    }
    return status;
}
