/* A program's slots: plans and executions by batch size. */
#include "program.h"

#include "loss.h"

#include "base/mem.h"
#include "base/str.h"
#include "graph/pass.h"

#include <string.h>

/* Without a limit by the owner, arenas that are kept for reuse may take this much, or twice the one in use. */
static const size_t kept_bytes = (size_t)64 << 20;

static enum trib_status find_inputs(struct trib_program *program, struct trib_error *error)
{
    size_t n = 0;
    bool x = false, y = false;
    for (trib_value v = 0; v < trib_graph_n_values(program->graph); v++) {
        const struct trib_value_info *info = trib_graph_value(program->graph, v);
        if (info->kind != TRIB_VALUE_INPUT) {
            continue;
        }
        if (strcmp(info->name, "x") == 0) {
            program->x = n;
            x = true;
        } else if (strcmp(info->name, "y") == 0) {
            program->y = n;
            y = true;
        } else {
            return trib_fail(error, TRIB_UNSUPPORTED, "the model has an input \"%s\"; only \"x\" is given", info->name);
        }
        n++;
    }
    return x && y ? TRIB_OK : trib_fail(error, TRIB_INVALID, "the model lacks its input \"x\" or \"y\"");
}

enum trib_status trib_program_init(struct trib_program *program, const struct trib_graph *graph,
                                   const struct trib_backend *backend, struct trib_thread_pool *pool,
                                   struct trib_error *error)
{
    struct trib_program made = {.backend = backend, .pool = pool};
    TRIB_TRY(trib_pass_pipeline(graph, &made.graph, NULL, error));
    enum trib_status status = find_inputs(&made, error);
    if (status != TRIB_OK) {
        trib_program_clear(&made);
        return status;
    }
    *program = made;
    return TRIB_OK;
}

static void clear_slot(struct trib_program_slot *slot)
{
    trib_execution_free(slot->execution);
    trib_plan_free(slot->plan);
    *slot = (struct trib_program_slot){0};
}

void trib_program_clear(struct trib_program *program)
{
    for (int i = 0; i < TRIB_PROGRAM_SLOTS; i++) {
        clear_slot(&program->slots[i]);
    }
    trib_graph_free(program->graph);
    *program = (struct trib_program){0};
}

/* TRIB_LIMIT when the slot for `batch` would not fit beside fixed_bytes. */
static enum trib_status check_bytes(const struct trib_program *program, int64_t batch, size_t arena_bytes,
                                    struct trib_error *error)
{
    size_t needed;
    if (program->max_bytes == 0) {
        return TRIB_OK;
    }
    if (!trib_size_add(program->fixed_bytes, arena_bytes, &needed)) {
        needed = SIZE_MAX;
    }
    if (needed <= program->max_bytes) {
        return TRIB_OK;
    }
    char needs[32], arena[32], allowed[32];
    return trib_fail(error, TRIB_LIMIT,
                     "training with batches of %lld needs %s of memory (%s of it for the layers' results), and the "
                     "limit is %s; lower batch_size, choose a smaller model, or raise the limit",
                     (long long)batch, trib_format_size((double)needed, needs, sizeof needs),
                     trib_format_size((double)arena_bytes, arena, sizeof arena),
                     trib_format_size((double)program->max_bytes, allowed, sizeof allowed));
}

/* The slot to be used next: an empty one, after those not used for longest were emptied until `bytes` more fit. */
static struct trib_program_slot *make_room(struct trib_program *program, size_t bytes)
{
    size_t allowed = bytes > kept_bytes / 2 ? 2 * bytes : kept_bytes;
    if (program->max_bytes > 0) {
        allowed = program->max_bytes - program->fixed_bytes;
    }
    for (;;) {
        struct trib_program_slot *empty = NULL, *oldest = NULL;
        size_t sum = bytes;
        for (int i = 0; i < TRIB_PROGRAM_SLOTS; i++) {
            struct trib_program_slot *slot = &program->slots[i];
            if (slot->batch == 0) {
                empty = slot;
                continue;
            }
            sum += trib_plan_arena_bytes(slot->plan);
            oldest = !oldest || slot->used < oldest->used ? slot : oldest;
        }
        if (!oldest || (empty && sum <= allowed)) {
            return empty;
        }
        clear_slot(oldest);
    }
}

static enum trib_status find_outputs(struct trib_program_slot *slot, struct trib_error *error)
{
    const struct trib_graph *graph = trib_plan_graph(slot->plan);
    if (!trib_graph_find_output(graph, "loss", &slot->loss)) {
        return trib_fail(error, TRIB_INTERNAL, "the compiled model has lost its loss");
    }
    return trib_loss_find_logits(graph, &slot->logits, error);
}

static enum trib_status compile(struct trib_program *program, int64_t batch, struct trib_program_slot **slot,
                                struct trib_error *error)
{
    struct trib_program_slot made = {.batch = batch};
    TRIB_TRY(trib_plan_new(program->graph, batch, 0, &made.plan, error));
    size_t bytes = trib_plan_arena_bytes(made.plan);
    enum trib_status status = check_bytes(program, batch, bytes, error);
    if (status == TRIB_OK) {
        status = find_outputs(&made, error);
    }
    if (status != TRIB_OK) {
        clear_slot(&made);
        return status;
    }
    struct trib_program_slot *place = make_room(program, bytes);
    status = trib_execution_new(program->backend, made.plan, program->pool, &made.execution, error);
    if (status != TRIB_OK) {
        clear_slot(&made);
        return status;
    }
    *place = made;
    *slot = place;
    return TRIB_OK;
}

enum trib_status trib_program_slot(struct trib_program *program, int64_t batch, struct trib_program_slot **slot,
                                   struct trib_error *error)
{
    struct trib_program_slot *found = NULL;
    for (int i = 0; i < TRIB_PROGRAM_SLOTS && !found; i++) {
        if (program->slots[i].batch == batch) {
            found = &program->slots[i];
        }
    }
    if (!found) {
        TRIB_TRY(compile(program, batch, &found, error));
    }
    found->used = ++program->clock;
    *slot = found;
    return TRIB_OK;
}

enum trib_status trib_program_run(const struct trib_program *program, const struct trib_program_slot *slot,
                                  const struct trib_program_run *run, struct trib_error *error)
{
    const void *inputs[2];
    inputs[program->x] = run->x;
    inputs[program->y] = run->y;
    const struct trib_execution_values execution_run = {
        .inputs = inputs, .model = run->model, .gradient = run->gradient, .seed = run->seed, .step = run->step};
    return trib_execution_run(slot->execution, &execution_run, error);
}
