/* Plans: what lies where. The oracle replays a plan on memory that remembers which value was last written to each of
 * its cells, so that any overlap of living values shows when one of them is read. */
#include "base/mem.h"
#include "graph/pass.h"
#include "graph/plan.h"
#include "fail_memory.h"
#include "graph_random.h"

enum { CELL = 64 };

/* Who owns each 64-byte cell of the arena, each float of the gradient vector. */
struct replay {
    const struct trib_plan *plan;
    const struct trib_graph *graph;
    trib_value *arena, *gradient;
    size_t cells, floats;
    uint64_t seed;
};

/* Reshapes hold what their input holds. */
static trib_value content(const struct trib_graph *graph, trib_value value)
{
    for (;;) {
        const struct trib_value_info *info = trib_graph_value(graph, value);
        const struct trib_node *made = info->kind == TRIB_VALUE_RESULT ? trib_graph_node_at(graph, info->node) : NULL;
        if (!made || made->op != TRIB_OP_RESHAPE) {
            return value;
        }
        value = made->inputs[0];
    }
}

static size_t bytes_of(const struct trib_plan *plan, trib_value value)
{
    struct trib_shape shape = trib_plan_shape(plan, value);
    return trib_shape_size(&shape) * trib_dtype_size(trib_graph_value(trib_plan_graph(plan), value)->dtype);
}

/* The cells of a value, or NULL when it is no result; *n = how many. */
static trib_value *cells_of(const struct replay *r, trib_value value, size_t *n)
{
    struct trib_placement at = trib_plan_placement(r->plan, value);
    size_t bytes = bytes_of(r->plan, value);
    if (at.home == TRIB_HOME_ARENA) {
        *n = (bytes + CELL - 1) / CELL;
        ck_assert_uint_eq(at.offset % CELL, 0);
        ck_assert_uint_le(at.offset / CELL + *n, r->cells);
        return r->arena + at.offset / CELL;
    }
    if (at.home == TRIB_HOME_GRADIENT) {
        *n = bytes / sizeof(float);
        ck_assert_uint_le(at.offset + *n, r->floats);
        return r->gradient + at.offset;
    }
    return NULL;
}

static void check_leaf(const struct replay *r, trib_value value)
{
    static const enum trib_home homes[] = {
        [TRIB_VALUE_INPUT] = TRIB_HOME_INPUT,
        [TRIB_VALUE_PARAMETER] = TRIB_HOME_MODEL,
        [TRIB_VALUE_STATE] = TRIB_HOME_MODEL,
        [TRIB_VALUE_CONSTANT] = TRIB_HOME_CONSTANT,
    };
    const struct trib_value_info *info = trib_graph_value(r->graph, value);
    struct trib_placement at = trib_plan_placement(r->plan, value);
    ck_assert_int_eq(at.home, homes[info->kind]);
    if (at.home == TRIB_HOME_CONSTANT) {
        size_t len, n = bytes_of(r->plan, value) / sizeof(float);
        const uint8_t *constants = trib_plan_constants(r->plan, &len);
        ck_assert_uint_le(at.offset + n * sizeof(float), len);
        for (size_t i = 0; i < n; i++) {
            float number;
            memcpy(&number, constants + at.offset + i * sizeof number, sizeof number);
            ck_assert(number == info->constant);
        }
    }
}

/* `value` can be read: its bytes hold what it computed. */
static void check_readable(const struct replay *r, trib_value value)
{
    trib_value owner = content(r->graph, value);
    if (trib_graph_value(r->graph, owner)->kind != TRIB_VALUE_RESULT) {
        check_leaf(r, owner);
        struct trib_placement a = trib_plan_placement(r->plan, value), b = trib_plan_placement(r->plan, owner);
        ck_assert(a.home == b.home && a.offset == b.offset);
        return;
    }
    size_t n;
    trib_value *cells = cells_of(r, value, &n);
    ck_assert_msg(cells, "seed %lu: value %u has no bytes", (unsigned long)r->seed, value);
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(cells[i] == owner, "seed %lu: value %u was overwritten by %u", (unsigned long)r->seed, value,
                      cells[i]);
    }
}

/* An output may touch an input's bytes only where an element-wise node works in place. */
static void check_apart(const struct replay *r, const struct trib_node *at, trib_value out)
{
    size_t n_out, n_in;
    trib_value *cells = cells_of(r, out, &n_out);
    for (int k = 0; k < at->n_inputs; k++) {
        trib_value *other = cells_of(r, at->inputs[k], &n_in);
        if (!other || other + n_in <= cells || cells + n_out <= other) {
            continue;
        }
        ck_assert_msg(trib_op_info(at->op)->elementwise && other == cells &&
                          bytes_of(r->plan, at->inputs[k]) == bytes_of(r->plan, out) &&
                          content(r->graph, at->inputs[k]) == content(r->graph, at->inputs[0]),
                      "seed %lu: %s overwrites input %d", (unsigned long)r->seed, trib_op_info(at->op)->name, k);
    }
}

static void replay_step(const struct replay *r, const struct trib_node *at)
{
    ck_assert_int_ne(at->op, TRIB_OP_RESHAPE);
    for (int k = 0; k < at->n_inputs; k++) {
        check_readable(r, at->inputs[k]);
    }
    for (int k = 0; k < trib_op_info(at->op)->n_outputs; k++) {
        if (trib_plan_placement(r->plan, at->outputs[k]).home == TRIB_HOME_NONE) {
            continue;
        }
        size_t n;
        trib_value *cells = cells_of(r, at->outputs[k], &n);
        check_apart(r, at, at->outputs[k]);
        for (size_t i = 0; i < n; i++) {
            cells[i] = at->outputs[k];
        }
    }
    for (int k = 0; k < trib_op_info(at->op)->n_outputs; k++) {
        if (trib_plan_placement(r->plan, at->outputs[k]).home != TRIB_HOME_NONE) {
            check_readable(r, at->outputs[k]); /* no output lies on another */
        }
    }
}

/* Every gradient link ends in its parameter's place, in situ or by one copy. */
static void replay_gradients(const struct replay *r)
{
    const struct trib_plan_copy *copies;
    const struct trib_graph_link *links;
    size_t n_copies = trib_plan_gradient_copies(r->plan, &copies), n = trib_graph_gradients(r->graph, &links);
    for (size_t i = 0; i < n_copies; i++) {
        check_readable(r, copies[i].from);
    }
    for (size_t i = 0; i < n_copies; i++) {
        ck_assert_uint_eq(copies[i].n * sizeof(float), bytes_of(r->plan, copies[i].from));
        for (size_t k = 0; k < copies[i].n; k++) {
            r->gradient[copies[i].model_offset + k] = content(r->graph, copies[i].from);
        }
    }
    for (size_t i = 0; i < n; i++) {
        size_t offset = trib_plan_placement(r->plan, links[i].state).offset;
        for (size_t k = 0; k < bytes_of(r->plan, links[i].state) / sizeof(float); k++) {
            ck_assert_uint_eq(r->gradient[offset + k], content(r->graph, links[i].from));
        }
    }
}

static void replay_end(const struct replay *r)
{
    const struct trib_graph_output *outputs;
    const struct trib_plan_copy *copies;
    size_t n = trib_graph_outputs(r->graph, &outputs);
    replay_gradients(r);
    for (size_t i = 0; i < n; i++) {
        check_readable(r, outputs[i].value);
    }
    n = trib_plan_updates(r->plan, &copies);
    for (size_t i = 0; i < n; i++) {
        check_readable(r, copies[i].from);
        ck_assert_uint_eq(copies[i].n * sizeof(float), bytes_of(r->plan, copies[i].from));
        ck_assert_uint_le(copies[i].model_offset + copies[i].n, r->floats);
    }
}

/* Parameters and states without gaps, in the order of declaration; inputs by number. */
static void check_leaves(const struct trib_plan *plan)
{
    size_t floats = 0, inputs = 0;
    const struct trib_graph *graph = trib_plan_graph(plan);
    for (uint32_t v = 0; v < trib_graph_n_values(graph); v++) {
        const struct trib_value_info *info = trib_graph_value(graph, v);
        struct trib_placement at = trib_plan_placement(plan, v);
        if (info->kind == TRIB_VALUE_PARAMETER || info->kind == TRIB_VALUE_STATE) {
            ck_assert(at.home == TRIB_HOME_MODEL && at.offset == floats);
            floats += trib_shape_size(&info->shape);
        } else if (info->kind == TRIB_VALUE_INPUT) {
            ck_assert(at.home == TRIB_HOME_INPUT && at.offset == inputs++);
        }
    }
    ck_assert_uint_eq(floats, trib_plan_model_floats(plan));
    ck_assert_uint_eq(inputs, trib_plan_n_inputs(plan));
}

static void check_plan(const struct trib_plan *plan, uint64_t seed)
{
    struct replay r = {.plan = plan, .graph = trib_plan_graph(plan), .seed = seed};
    r.cells = trib_plan_arena_bytes(plan) / CELL;
    r.floats = trib_plan_model_floats(plan);
    ck_assert_uint_eq(trib_plan_arena_bytes(plan) % CELL, 0);
    ck_assert_uint_le(trib_plan_arena_bytes(plan), trib_plan_unshared_bytes(plan));
    r.arena = malloc((r.cells + 1) * sizeof *r.arena);
    r.gradient = malloc((r.floats + 1) * sizeof *r.gradient);
    for (size_t i = 0; i < r.cells; i++) {
        r.arena[i] = TRIB_NO_VALUE;
    }
    for (size_t i = 0; i < r.floats; i++) {
        r.gradient[i] = TRIB_NO_VALUE;
    }
    check_leaves(plan);
    const struct trib_step *steps;
    size_t n = trib_plan_steps(plan, &steps);
    for (size_t i = 0; i < n; i++) {
        replay_step(&r, trib_graph_node_at(r.graph, steps[i].node));
    }
    replay_end(&r);
    free(r.arena);
    free(r.gradient);
}

static struct trib_plan *plan_of(const struct trib_graph *graph, int64_t batch)
{
    struct trib_plan *plan = NULL;
    must(trib_plan_new(graph, batch, 0, &plan, error));
    return plan;
}

/* Plan, check, free both. */
static void check_graph(struct trib_graph *graph, int64_t batch, uint64_t seed)
{
    struct trib_plan *plan = plan_of(graph, batch);
    trib_graph_free(graph); /* the plan owns its copy */
    check_plan(plan, seed);
    trib_plan_free(plan);
}

START_TEST(living_values_never_overlap)
{
    for (uint64_t seed = 0; seed < 1500; seed++) {
        struct trib_graph *graph = random_graph(seed, true);
        if (seed % 4 > 0) {
            differentiate(graph);
        }
        if (seed % 4 > 1) {
            struct trib_graph *result = NULL;
            must(trib_pass_pipeline(graph, &result, NULL, error));
            trib_graph_free(graph);
            graph = result;
        }
        check_graph(graph, 1 + (int64_t)(seed % 67), seed);
    }
}
END_TEST

START_TEST(models_are_planned)
{
    struct trib_graph *(*const models[])(void) = {mlp, cnn};
    for (size_t i = 0; i < 2; i++) {
        check_graph(models[i](), 32, i);
        struct trib_graph *graph = models[i](), *result = NULL;
        differentiate(graph);
        must(trib_pass_pipeline(graph, &result, NULL, error));
        struct trib_plan *plan = plan_of(result, 32);
        check_plan(plan, i);
        /* Reuse must be worth it, and all gradients of these models are written in place. */
        ck_assert_uint_lt(trib_plan_arena_bytes(plan) * 10, trib_plan_unshared_bytes(plan) * 7);
        const struct trib_plan_copy *copies;
        ck_assert_uint_eq(trib_plan_gradient_copies(plan, &copies), 0);
        trib_plan_free(plan);
        trib_graph_free(result);
        check_graph(graph, 1, i);
    }
}
END_TEST

START_TEST(a_chain_works_in_place)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 16)), first = relu(graph, x), y = first;
    for (int i = 0; i < 10; i++) {
        y = node(graph, TRIB_OP_TANH, NO_ATTRIBUTES, y);
        y = node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 4, 4)), y);
        y = node(graph, TRIB_OP_SIGMOID, NO_ATTRIBUTES, y);
        y = node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 16)), y);
    }
    output(graph, "y", y);
    struct trib_plan *plan = plan_of(graph, 4);
    check_plan(plan, 0);
    const struct trib_step *steps;
    ck_assert_uint_eq(trib_plan_steps(plan, &steps), 21);
    ck_assert_uint_eq(trib_plan_arena_bytes(plan), 4 * 16 * sizeof(float));
    ck_assert_uint_eq(trib_plan_unshared_bytes(plan), 21 * 4 * 16 * sizeof(float));
    ck_assert_int_eq(trib_plan_placement(plan, first).home, TRIB_HOME_ARENA);
    ck_assert_uint_eq(trib_plan_placement(plan, first).offset, trib_plan_placement(plan, y).offset);
    trib_plan_free(plan);
    trib_graph_free(graph);
}
END_TEST

START_TEST(outputs_and_inputs_are_not_worked_over)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 16));
    trib_value flat = node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(BATCH, 4, 4)), x);
    trib_value a = relu(graph, flat), b = node(graph, TRIB_OP_TANH, NO_ATTRIBUTES, a);
    output(graph, "a", a);
    output(graph, "flat", flat);
    output(graph, "b", b);
    struct trib_plan *plan = plan_of(graph, 4);
    check_plan(plan, 0);
    ck_assert_int_eq(trib_plan_placement(plan, flat).home, TRIB_HOME_INPUT);
    ck_assert_uint_ne(trib_plan_placement(plan, a).offset, trib_plan_placement(plan, b).offset);
    trib_plan_free(plan);
    trib_graph_free(graph);
}
END_TEST

START_TEST(dead_nodes_and_outputs_get_nothing)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 4, 4, 2)), pool[2];
    trib_value dead = relu(graph, x), unused = constant(graph, 3, TRIB_SHAPE(1000));
    struct trib_attributes at = {.kernel = {2, 2}, .stride = {2, 2}};
    must(trib_graph_node(graph, TRIB_OP_MAX_POOL2D, &at, &x, 1, pool, error));
    output(graph, "y", pool[0]);
    struct trib_plan *plan = plan_of(graph, 4);
    const struct trib_step *steps;
    size_t len;
    ck_assert_uint_eq(trib_plan_steps(plan, &steps), 1);
    ck_assert_uint_eq(steps[0].node, 1);
    ck_assert_int_eq(trib_plan_placement(plan, dead).home, TRIB_HOME_NONE);
    ck_assert_int_eq(trib_plan_placement(plan, unused).home, TRIB_HOME_NONE);
    ck_assert_int_eq(trib_plan_placement(plan, pool[0]).home, TRIB_HOME_ARENA);
    ck_assert_int_eq(trib_plan_placement(plan, pool[1]).home, TRIB_HOME_NONE);
    ck_assert_int_eq(trib_plan_placement(plan, 4000000).home, TRIB_HOME_NONE);
    (void)trib_plan_constants(plan, &len);
    ck_assert_uint_eq(len, 0);
    trib_plan_free(plan);
    trib_graph_free(graph);
}
END_TEST

START_TEST(gradients_that_cannot_lie_in_place_are_copied)
{
    struct trib_graph *graph = new_graph();
    trib_value p = parameter(graph, "p", TRIB_SHAPE(4)), q = parameter(graph, "q", TRIB_SHAPE(4));
    trib_value flat = parameter(graph, "flat", TRIB_SHAPE(2, 2)), none = parameter(graph, "none", TRIB_SHAPE(4));
    trib_value x = input(graph, "x", TRIB_SHAPE(4)), given = parameter(graph, "given", TRIB_SHAPE(4));
    trib_value both = relu(graph, x), alone = node(graph, TRIB_OP_TANH, NO_ATTRIBUTES, both);
    must(trib_graph_set_gradient(graph, p, both, error));
    must(trib_graph_set_gradient(graph, q, both, error));
    alone = node(graph, TRIB_OP_RESHAPE, ATTRIBUTES(.shape = TRIB_SHAPE(2, 2)), alone);
    must(trib_graph_set_gradient(graph, flat, alone, error));
    must(trib_graph_set_gradient(graph, none, constant(graph, 0, TRIB_SHAPE(4)), error));
    must(trib_graph_set_gradient(graph, given, x, error));
    struct trib_plan *plan = plan_of(graph, 1);
    check_plan(plan, 0);
    const struct trib_plan_copy *copies;
    ck_assert_uint_eq(trib_plan_gradient_copies(plan, &copies), 3);
    ck_assert(copies[0].from == both && copies[0].model_offset == 4 && copies[0].n == 4);
    ck_assert_int_eq(trib_plan_placement(plan, both).home, TRIB_HOME_GRADIENT);
    ck_assert_uint_eq(trib_plan_placement(plan, both).offset, 0);
    ck_assert_int_eq(trib_plan_placement(plan, alone).home, TRIB_HOME_GRADIENT);
    ck_assert_uint_eq(trib_plan_placement(plan, alone).offset, 8);
    ck_assert_uint_eq(trib_plan_arena_bytes(plan), 0);
    trib_plan_free(plan);
    trib_graph_free(graph);
}
END_TEST

START_TEST(state_updates_are_listed)
{
    struct trib_graph *graph = new_graph();
    trib_value s = state(graph, "s", TRIB_SHAPE(4)), t = state(graph, "t", TRIB_SHAPE(4));
    trib_value y = node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = 2), s);
    must(trib_graph_update_state(graph, t, y, error));
    must(trib_graph_update_state(graph, s, s, error)); /* nothing to do */
    struct trib_plan *plan = plan_of(graph, 1);
    const struct trib_plan_copy *copies;
    ck_assert_uint_eq(trib_plan_updates(plan, &copies), 1);
    ck_assert(copies[0].from == y && copies[0].model_offset == 4 && copies[0].n == 4);
    trib_plan_free(plan);
    /* Copies are made one after the other: an exchange would read what was overwritten. */
    must(trib_graph_update_state(graph, s, t, error));
    struct trib_error error = {0};
    ck_assert_int_eq(trib_plan_new(graph, 1, 0, &plan, &error), TRIB_UNSUPPORTED);
    ck_assert_str_eq(error.message, "update of 's': it is state 't', which changes too");
    trib_graph_free(graph);
}
END_TEST

START_TEST(bounds_are_kept)
{
    struct trib_graph *graph = mlp();
    struct trib_plan *plan = plan_of(graph, 32);
    size_t bytes = trib_plan_arena_bytes(plan);
    trib_plan_free(plan);
    must(trib_plan_new(graph, 32, bytes, &plan, error));
    trib_plan_free(plan);
    struct trib_error error = {0};
    plan = NULL;
    ck_assert_int_eq(trib_plan_new(graph, 32, bytes - 1, &plan, &error), TRIB_LIMIT);
    ck_assert_ptr_nonnull(strstr(error.message, "batch 32 needs "));
    ck_assert_ptr_nonnull(strstr(error.message, "use a smaller batch"));
    ck_assert_int_eq(trib_plan_new(graph, 0, 0, &plan, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "batch: 0 is below the minimum 1");
    ck_assert_int_eq(trib_plan_new(graph, INT64_MIN, 0, &plan, &error), TRIB_INVALID);
    ck_assert_int_eq(trib_plan_new(graph, INT64_MAX, 0, &plan, &error), TRIB_LIMIT);
    ck_assert_ptr_null(plan);
    trib_graph_free(graph);
    /* A constant of a peer's size counts as well. */
    graph = new_graph();
    output(graph, "y", constant(graph, 1, TRIB_SHAPE(INT64_C(1) << 40)));
    ck_assert_int_eq(trib_plan_new(graph, 1, 1000000, &plan, &error), TRIB_LIMIT);
    ck_assert_ptr_null(plan);
    trib_graph_free(graph);
    trib_plan_free(NULL);
}
END_TEST

START_TEST(constants_of_one_number_share_bytes)
{
    struct trib_graph *graph = new_graph();
    output(graph, "a", constant(graph, 0, TRIB_SHAPE(10)));
    output(graph, "b", constant(graph, 0, TRIB_SHAPE(BATCH, 100)));
    output(graph, "c", constant(graph, 1, TRIB_SHAPE(2)));
    output(graph, "d", constant(graph, 0, TRIB_SHAPE(50)));
    struct trib_plan *plan = plan_of(graph, 2);
    check_plan(plan, 0);
    size_t len;
    (void)trib_plan_constants(plan, &len);
    ck_assert_uint_eq(len, 832 + 64);
    trib_plan_free(plan);
    trib_graph_free(graph);
}
END_TEST

START_TEST(prints_a_plan)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 4)), w = parameter(graph, "w", TRIB_SHAPE(4));
    trib_value s = state(graph, "s", TRIB_SHAPE(4));
    trib_value y = node(graph, TRIB_OP_REDUCE_TO, ATTRIBUTES(.shape = TRIB_SHAPE(4)), relu(graph, x));
    must(trib_graph_set_gradient(graph, w, y, error));
    must(trib_graph_update_state(graph, s, y, error));
    struct trib_plan *plan = plan_of(graph, 16);
    struct trib_buf text = {0};
    ck_assert_int_eq(trib_plan_print(plan, &text), TRIB_OK);
    const char *lines = strchr(trib_buf_text(&text), '\n');
    ck_assert_ptr_nonnull(
        strstr(trib_buf_text(&text), "batch 16, 2 steps, arena 256 B (256 B without reuse), model 8"));
    ck_assert_str_eq(lines, "\n"
                            "   0  %3: [batch, 4] = relu(%x)  -> arena+0\n"
                            "   1  %4: [4] = reduce_to(%3)  -> gradient+0\n"
                            "copy  %4  -> model+4, 4 floats\n");
    trib_buf_clear(&text);
    trib_plan_free(plan);
    trib_graph_free(graph);
}
END_TEST

START_TEST(survives_short_memory)
{
    struct trib_graph *graph = random_graph(11, true);
    differentiate(graph);
    bool clean = false;
    for (int n = 0; !clean && n < 10000; n++) {
        struct trib_plan *plan = NULL;
        struct trib_error error = {0};
        (void)fail_memory_after(n, false);
        enum trib_status status = trib_plan_new(graph, 8, 0, &plan, &error);
        (void)fail_memory_after(-1, false);
        clean = status == TRIB_OK;
        ck_assert(clean || (status == TRIB_NO_MEMORY && !plan));
        trib_plan_free(plan);
    }
    ck_assert(clean);
    trib_graph_free(graph);
}
END_TEST

/* As many long-lived buffers as a graph can hold: the layout stays within seconds. */
START_TEST(largest_graph_is_laid_out)
{
    struct trib_graph *graph = new_graph();
    trib_value x = input(graph, "x", TRIB_SHAPE(BATCH, 8)), values[9999];
    for (size_t i = 0; i < 9999; i++) {
        values[i] = node(graph, TRIB_OP_SCALE, ATTRIBUTES(.factor = (float)i), x);
    }
    for (size_t i = 0; i < 9999; i++) {
        x = node(graph, TRIB_OP_ADD, NO_ATTRIBUTES, x, values[i]);
    }
    output(graph, "y", x);
    check_graph(graph, 2, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tests = tcase_create("plan");
    tcase_add_test(tests, living_values_never_overlap);
    tcase_add_test(tests, models_are_planned);
    tcase_add_test(tests, a_chain_works_in_place);
    tcase_add_test(tests, outputs_and_inputs_are_not_worked_over);
    tcase_add_test(tests, dead_nodes_and_outputs_get_nothing);
    tcase_add_test(tests, gradients_that_cannot_lie_in_place_are_copied);
    tcase_add_test(tests, state_updates_are_listed);
    tcase_add_test(tests, bounds_are_kept);
    tcase_add_test(tests, constants_of_one_number_share_bytes);
    tcase_add_test(tests, prints_a_plan);
    tcase_add_test(tests, survives_short_memory);
    tcase_add_test(tests, largest_graph_is_laid_out);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
