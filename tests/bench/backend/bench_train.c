/* bench-train: training steps per second (forward, backward, plain SGD) of small networks on the default backend.
 *
 * Prints "name value unit" lines: the steps, a floor from the network's multiply-adds and the machine's own matrix
 * product of 512^3 measured in the same run, the share of that floor, and what PyTorch 1.13 reached on another
 * machine (the table in the project's notes; a yardstick for ratios, not for this machine). Never passes or fails. */
#include "bench_options.h"

#include "backend/backend.h"
#include "base/cli.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "graph/autograd.h"
#include "graph/pass.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- networks ---- */

struct builder {
    struct trib_graph *graph;
    trib_value at;
    int layers;
};

static void must(enum trib_status status, const struct trib_error *error)
{
    if (status != TRIB_OK) {
        fprintf(stderr, "bench-train: %s\n", error->message);
        exit(trib_status_exit_code(status));
    }
}

static trib_value node(struct trib_graph *graph, enum trib_op op, const struct trib_attributes *attributes,
                       const trib_value *inputs, int n)
{
    struct trib_error error = {0};
    trib_value outputs[TRIB_MAX_OUTPUTS];
    must(trib_graph_node(graph, op, attributes, inputs, n, outputs, &error), &error);
    return outputs[0];
}

static trib_value parameter(struct builder *b, const char *what, struct trib_shape shape)
{
    struct trib_error error = {0};
    char name[TRIB_VALUE_NAME_LEN];
    trib_value value;
    snprintf(name, sizeof name, "%s%d", what, b->layers);
    must(trib_graph_variable(b->graph, TRIB_VALUE_PARAMETER, name, &shape, TRIB_INIT_HE_UNIFORM, &value, &error),
         &error);
    return value;
}

static struct trib_shape shape_at(const struct builder *b)
{
    return trib_graph_value(b->graph, b->at)->shape;
}

static void add_bias(struct builder *b, int64_t channels, bool relu)
{
    b->at = node(b->graph, TRIB_OP_ADD, NULL, (trib_value[]){b->at, parameter(b, "b", TRIB_SHAPE(channels))}, 2);
    if (relu) {
        b->at = node(b->graph, TRIB_OP_RELU, NULL, &b->at, 1);
    }
    b->layers++;
}

static void dense(struct builder *b, int64_t outputs, bool relu)
{
    struct trib_shape x = shape_at(b);
    if (x.rank == 4) {
        struct trib_attributes flat = {.shape = TRIB_SHAPE(TRIB_DIM_BATCH, x.dims[1] * x.dims[2] * x.dims[3])};
        b->at = node(b->graph, TRIB_OP_RESHAPE, &flat, &b->at, 1);
        x = shape_at(b);
    }
    trib_value inputs[] = {b->at, parameter(b, "w", TRIB_SHAPE(outputs, x.dims[1]))};
    b->at = node(b->graph, TRIB_OP_MATMUL, &(struct trib_attributes){.transpose_b = true}, inputs, 2);
    add_bias(b, outputs, relu);
}

static void conv(struct builder *b, int32_t kernel, int64_t outputs)
{
    struct trib_attributes same = {.stride = {1, 1}, .padding = {kernel / 2, kernel / 2}};
    trib_value inputs[] = {b->at, parameter(b, "w", TRIB_SHAPE(outputs, kernel, kernel, shape_at(b).dims[3]))};
    b->at = node(b->graph, TRIB_OP_CONV2D, &same, inputs, 2);
    add_bias(b, outputs, true);
}

static void pool(struct builder *b)
{
    b->at =
        node(b->graph, TRIB_OP_MAX_POOL2D, &(struct trib_attributes){.kernel = {2, 2}, .stride = {2, 2}}, &b->at, 1);
}

/* 784-200-200-10, as in McMahan et al. 2017. */
static void build_mlp(struct builder *b)
{
    dense(b, 200, true);
    dense(b, 200, true);
    dense(b, 10, false);
}

/* 1,663,370 parameters (McMahan et al. 2017). */
static void build_mnist_cnn(struct builder *b)
{
    conv(b, 5, 32);
    pool(b);
    conv(b, 5, 64);
    pool(b);
    dense(b, 512, true);
    dense(b, 10, false);
}

static void build_cifar_cnn(struct builder *b)
{
    conv(b, 3, 32);
    conv(b, 3, 32);
    pool(b);
    conv(b, 3, 64);
    conv(b, 3, 64);
    pool(b);
    dense(b, 512, true);
    dense(b, 10, false);
}

static const struct network {
    const char *name;
    void (*build)(struct builder *);
    struct trib_shape input;
    int64_t batch;
    double pytorch[2]; /* steps/s on 1 and 2 threads */
} networks[] = {
    {"mlp-784-200-200-10-b32", build_mlp, {2, {TRIB_DIM_BATCH, 784}}, 32, {2738, 3524}},
    {"mnist-cnn-b10", build_mnist_cnn, {4, {TRIB_DIM_BATCH, 28, 28, 1}}, 10, {117, 167}},
    {"mnist-cnn-b32", build_mnist_cnn, {4, {TRIB_DIM_BATCH, 28, 28, 1}}, 32, {47, 66}},
    {"mnist-cnn-b64", build_mnist_cnn, {4, {TRIB_DIM_BATCH, 28, 28, 1}}, 64, {25, 43}},
    {"cifar-cnn-b32", build_cifar_cnn, {4, {TRIB_DIM_BATCH, 32, 32, 3}}, 32, {21, 43}},
};

static struct trib_graph *build(const struct network *network, trib_value *loss)
{
    struct trib_error error = {0};
    struct builder b = {.graph = trib_graph_new()};
    trib_value y, outputs[2];
    if (!b.graph) {
        must(TRIB_NO_MEMORY, &(struct trib_error){.message = "out of memory"});
    }
    must(trib_graph_input(b.graph, "x", TRIB_F32, &network->input, &b.at, &error), &error);
    must(trib_graph_input(b.graph, "y", TRIB_I32, &TRIB_SHAPE(TRIB_DIM_BATCH), &y, &error), &error);
    network->build(&b);
    must(trib_graph_node(b.graph, TRIB_OP_SOFTMAX_CROSS_ENTROPY, NULL, (trib_value[]){b.at, y}, 2, outputs, &error),
         &error);
    must(trib_graph_set_output(b.graph, "loss", outputs[0], &error), &error);
    *loss = outputs[0];
    return b.graph;
}

/* ---- measuring ---- */

struct options {
    const char *json, *only, *backend;
    bool profile;
    int64_t ms;
};

/* What one measurement needs. */
struct setup {
    struct trib_plan *plan;
    struct trib_thread_pool *pool;
    struct trib_execution *execution;
    float *model, *gradient, *x;
    int32_t *y;
    trib_value loss;
    size_t model_n;
};

static void *need(void *block)
{
    if (!block) {
        must(TRIB_NO_MEMORY, &(struct trib_error){.message = "out of memory"});
    }
    return block;
}

static void fill(float *to, size_t n, float range, uint64_t stream)
{
    struct trib_rng rng = trib_rng_init(1, "bench", stream, 0);
    for (size_t i = 0; i < n; i++) {
        to[i] = (2 * trib_rng_uniform(&rng) - 1) * range;
    }
}

/* He's rule for every parameter of the graph, so that activations keep their scale. */
static void init_model(const struct trib_plan *plan, float *model)
{
    const struct trib_graph *graph = trib_plan_graph(plan);
    for (trib_value v = 0; v < trib_graph_n_values(graph); v++) {
        const struct trib_value_info *info = trib_graph_value(graph, v);
        if (info->kind == TRIB_VALUE_PARAMETER) {
            size_t n = trib_shape_size(&info->shape);
            float fan_in = (float)n / (float)info->shape.dims[0];
            float range = info->shape.rank > 1 ? sqrtf(6 / fan_in) : 0;
            fill(model + trib_plan_placement(plan, v).offset, n, range, v);
        }
    }
}

static struct setup prepare(const struct trib_graph *graph, int64_t batch, int threads,
                            const struct trib_backend *backend)
{
    struct trib_error error = {0};
    struct setup s = {0};
    must(trib_plan_new(graph, batch, 0, &s.plan, &error), &error);
    must(trib_thread_pool_new(threads, &s.pool, &error), &error);
    must(trib_execution_new(backend, s.plan, s.pool, &s.execution, &error), &error);
    s.model_n = trib_plan_model_floats(s.plan);
    s.model = need(trib_malloc_aligned(s.model_n, sizeof(float)));
    s.gradient = need(trib_malloc_aligned(s.model_n, sizeof(float)));
    trib_value x;
    if (!trib_graph_find(graph, "x", &x)) {
        must(TRIB_INTERNAL, &(struct trib_error){.message = "no input x"});
    }
    struct trib_shape shape = trib_plan_shape(s.plan, x);
    size_t n = trib_shape_size(&shape);
    s.x = need(trib_malloc_aligned(n, sizeof(float)));
    fill(s.x, n, 1, 1000);
    s.y = need(trib_malloc_aligned((size_t)batch, sizeof(int32_t)));
    for (int64_t i = 0; i < batch; i++) {
        s.y[i] = (int32_t)(i % 10);
    }
    init_model(s.plan, s.model);
    return s;
}

static void clear(struct setup *s)
{
    trib_execution_free(s->execution);
    trib_plan_free(s->plan);
    trib_thread_pool_free(s->pool);
    trib_free(s->model);
    trib_free(s->gradient);
    trib_free(s->x);
    trib_free(s->y);
}

static void sgd_part(void *context, size_t part, int worker)
{
    (void)worker;
    struct setup *s = context;
    size_t from = s->model_n * part / 8, to = s->model_n * (part + 1) / 8;
    float *restrict model = s->model;
    const float *restrict gradient = s->gradient;
    for (size_t i = from; i < to; i++) {
        model[i] -= 0.01f * gradient[i];
    }
}

static void step(struct setup *s, uint64_t number)
{
    struct trib_error error = {0};
    struct trib_execution_values run = {
        .inputs = (const void *[]){s->x, s->y}, .model = s->model, .gradient = s->gradient, .seed = 1, .step = number};
    must(trib_execution_run(s->execution, &run, &error), &error);
    if (s->model_n > 0) {
        trib_thread_pool_run(s->pool, 8, sgd_part, s);
    }
}

enum { WINDOWS = 12 };

/* Runs per second within one window of `ms` / WINDOWS, but at least one run. */
static double window_rate(struct setup *s, int64_t ms, uint64_t *number)
{
    int64_t start = trib_clock_ns(), end, runs = 0;
    do {
        step(s, (*number)++);
        runs++;
        end = trib_clock_ns();
    } while (end - start < ms * 1000000 / WINDOWS);
    return (double)runs * 1e9 / (double)(end - start);
}

/* The best window of a network and the best of the product, measured in turns: what else runs on the machine only ever
 * slows, and slows both. */
static double measure_rates(struct setup *s, struct setup *product, int64_t ms, double *products)
{
    double best = 0;
    uint64_t number = 0;
    if (s) {
        step(s, number++);
    }
    for (int i = 0; i < WINDOWS; i++) {
        double here = s ? window_rate(s, ms, &number) : 0;
        double there = window_rate(product, ms / 4, &number);
        best = here > best ? here : best;
        *products = there > *products ? there : *products;
    }
    return best;
}

/* Multiply-adds of a step's products, times two. */
static double step_flops(const struct trib_plan *plan)
{
    const struct trib_step *steps;
    size_t n = trib_plan_steps(plan, &steps);
    double flops = 0;
    for (size_t i = 0; i < n; i++) {
        const struct trib_node *at = trib_graph_node_at(trib_plan_graph(plan), steps[i].node);
        struct trib_shape a = trib_plan_shape(plan, at->inputs[0]), out = trib_plan_shape(plan, at->outputs[0]);
        struct trib_shape b = at->n_inputs > 1 ? trib_plan_shape(plan, at->inputs[1]) : TRIB_SCALAR;
        double size = 0;
        switch (at->op) {
        case TRIB_OP_MATMUL:
            size = (double)trib_shape_size(&out) * (double)a.dims[at->attributes.transpose_a ? 0 : 1];
            break;
        case TRIB_OP_LINEAR:
            size = (double)trib_shape_size(&out) * (double)b.dims[1];
            break;
        case TRIB_OP_CONV2D:
            size = (double)trib_shape_size(&out) * (double)trib_shape_size(&b) / (double)b.dims[0];
            break;
        case TRIB_OP_CONV2D_GRAD_INPUT:
            size = (double)trib_shape_size(&a) * (double)trib_shape_size(&b) / (double)b.dims[0];
            break;
        case TRIB_OP_CONV2D_GRAD_WEIGHT:
            size = (double)trib_shape_size(&a) * (double)trib_shape_size(&out) / (double)out.dims[0];
            break;
        default:
            break;
        }
        flops += 2 * size;
    }
    return flops;
}

/* ---- reporting ---- */

struct report {
    struct trib_buf json;
};

static void print(struct report *report, const char *name, const char *what, double value, const char *unit)
{
    printf("%s/%s %.4g %s\n", name, what, value, unit);
    must(trib_buf_printf(&report->json, "%s\n  {\"name\": \"%s/%s\", \"value\": %.6g, \"unit\": \"%s\"}",
                         report->json.len > 0 ? "," : "[", name, what, value, unit),
         &(struct trib_error){.message = "out of memory"});
}

enum { PRODUCT_SIZE = 512 };
static const double product_flops = 2.0 * PRODUCT_SIZE * PRODUCT_SIZE * PRODUCT_SIZE;

/* A product of 512^3 on one thread, on the same backend. */
static struct setup prepare_product(const struct trib_backend *backend, struct trib_graph **graph)
{
    struct trib_error error = {0};
    trib_value inputs[2], y;
    struct trib_shape square = TRIB_SHAPE(PRODUCT_SIZE, PRODUCT_SIZE);
    *graph = need(trib_graph_new());
    must(trib_graph_input(*graph, "x", TRIB_F32, &square, &inputs[0], &error), &error);
    must(trib_graph_variable(*graph, TRIB_VALUE_STATE, "w", &square, TRIB_INIT_ZEROS, &inputs[1], &error), &error);
    y = node(*graph, TRIB_OP_MATMUL, NULL, inputs, 2);
    must(trib_graph_set_output(*graph, "y", y, &error), &error);
    struct setup s = prepare(*graph, 1, 1, backend);
    memset(s.model, 0, s.model_n * sizeof *s.model);
    s.model_n = 0; /* no SGD */
    return s;
}

struct bench {
    const struct options *options;
    const struct trib_backend *backend;
    struct report report;
    struct setup product;
    double products; /* per second, the best so far */
};

static void print_profile(const struct setup *s)
{
    struct trib_error error = {0};
    struct trib_buf text = {0};
    must(trib_execution_print_profile(s->execution, &text), &error);
    fputs(trib_buf_text(&text), stdout);
    trib_buf_clear(&text);
}

static void measure(struct bench *bench, const struct network *network, int threads)
{
    struct trib_error error = {0};
    trib_value loss;
    struct trib_graph *graph = build(network, &loss), *optimised;
    must(trib_autograd(graph, loss, &error), &error);
    must(trib_pass_pipeline(graph, &optimised, NULL, &error), &error);
    struct setup s = prepare(optimised, network->batch, threads, bench->backend);
    trib_execution_profile(s.execution, bench->options->profile);
    char name[96];
    snprintf(name, sizeof name, "%s/t%d", network->name, threads);
    double steps = measure_rates(&s, &bench->product, bench->options->ms, &bench->products);
    double floor = bench->products * product_flops * threads / step_flops(s.plan);
    print(&bench->report, name, "train", steps, "steps/s");
    print(&bench->report, name, "floor", floor, "steps/s");
    print(&bench->report, name, "share-of-floor", steps / floor, "ratio");
    print(&bench->report, name, "pytorch-elsewhere", network->pytorch[threads - 1], "steps/s");
    if (bench->options->profile) {
        print_profile(&s);
    }
    clear(&s);
    trib_graph_free(graph);
    trib_graph_free(optimised);
}

static int write_json(const char *path, const struct report *report)
{
    FILE *file = fopen(path, "w");
    if (!file || fprintf(file, "%s\n]\n", trib_buf_text(&report->json)) < 0 || fclose(file) != 0) {
        fprintf(stderr, "bench-train: cannot write %s\n", path);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static const struct trib_backend *chosen_backend(const struct options *options)
{
    const struct trib_backend *backend =
        options->backend ? trib_backend_find(options->backend) : trib_backend_default();
    if (!backend) {
        fprintf(stderr, "bench-train: there is no backend \"%s\"\n", options->backend);
        exit(EXIT_FAILURE);
    }
    return backend;
}

int main(int argc, char **argv)
{
    struct options options = {.ms = 1000};
    const struct trib_option rows[] = {
        {"json", 0, TRIB_OPTION_STRING, &options.json, 0, 0, "FILE", "write the results as JSON too"},
        {"profile", 0, TRIB_OPTION_FLAG, &options.profile, 0, 0, NULL, "print the time of every op"},
        {"only", 0, TRIB_OPTION_STRING, &options.only, 0, 0, "TEXT", "only networks whose name contains TEXT"},
        {"backend", 0, TRIB_OPTION_STRING, &options.backend, 0, 0, "NAME", "instead of the default one"},
        {"ms", 0, TRIB_OPTION_INT, &options.ms, 10, 600000, "N", "time for each row (default 1000)"},
    };
    bench_options(argc, argv, "bench-train", "Training steps per second of small networks.", rows,
                  sizeof rows / sizeof rows[0]);
    struct bench bench = {.options = &options, .backend = chosen_backend(&options)};
    const char *description = bench.backend->describe ? bench.backend->describe() : "";
    printf("# backend %s: %s\n", bench.backend->name, description);
    struct trib_graph *product_graph;
    bench.product = prepare_product(bench.backend, &product_graph);
    measure_rates(NULL, &bench.product, options.ms, &bench.products);
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        for (int threads = 1; threads <= 2; threads++) {
            if (!options.only || strstr(networks[i].name, options.only)) {
                measure(&bench, &networks[i], threads);
            }
        }
    }
    print(&bench.report, "sgemm-512", "t1", bench.products * product_flops * 1e-9, "GFLOP/s");
    int result = options.json ? write_json(options.json, &bench.report) : EXIT_SUCCESS;
    clear(&bench.product);
    trib_graph_free(product_graph);
    trib_buf_clear(&bench.report.json);
    return result;
}
