/* The command: its options, the vector, the table. */
#include "ctl/codec_bench.h"

#include "chain_measure.h"

#include "base/cli.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "model/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct arguments {
    const char *model, *base, *distribution;
    struct trib_option_list chains;
    int64_t synthetic, clients, threads, runs, seed;
    bool json, list, help;
};

static const char *const default_chains[] = {
    "f16",
    "q8",
    "q4",
    "rotate|lloyd:2",
    "rotate|uniform:4|range",
    "rotate|uniform:2|range",
    "rotate|uniform:2,unbiased|range",
    "rotate|uniform:1|range",
    "rotate|uniform:1,unbiased|range",
    "rotate|trellis:2|range",
    "rotate|trellis:1|range",
    "uniform:1|range",
    "rotate|sign",
    "topk:1%|q8|range",
    "ternary:1/400|golomb",
};

/* ---- the vector ---- */

/* Variance 1: Gaussian; Laplace (kurtosis 6); Student's t with 5 degrees of freedom (kurtosis 9). */
static bool draw(const char *distribution, struct trib_rng *rng, float *to, size_t n)
{
    bool laplace = strcmp(distribution, "laplace") == 0, student = strcmp(distribution, "student") == 0;
    if (!laplace && !student && strcmp(distribution, "gaussian") != 0) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        double value = trib_rng_normal(rng);
        if (laplace) {
            value *= sqrt(trib_rng_gamma(rng, 1));
        } else if (student) {
            value *= sqrt(1.5 / trib_rng_gamma(rng, 2.5));
        }
        to[i] = (float)value;
    }
    return true;
}

static enum trib_status make_synthetic(const struct arguments *arguments, float **vector, size_t *n,
                                       struct trib_error *error)
{
    *n = (size_t)arguments->synthetic;
    float *made = trib_malloc_aligned(*n, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    struct trib_rng rng = trib_rng_init((uint64_t)arguments->seed, "codec-bench", 0, 0);
    if (!draw(arguments->distribution, &rng, made, *n)) {
        trib_free(made);
        return trib_fail(error, TRIB_INVALID, "--distribution %s is not known; gaussian, laplace or student",
                         arguments->distribution);
    }
    *vector = made;
    return TRIB_OK;
}

/* A checkpoint's values; with --base the difference from that one: an update as a client would send it. */
static enum trib_status read_model(const struct arguments *arguments, float **vector, size_t *n,
                                   struct trib_error *error)
{
    float *model = NULL, *base = NULL;
    size_t base_n = 0;
    TRIB_TRY(trib_checkpoint_read_values(arguments->model, &model, n, error));
    if (arguments->base) {
        enum trib_status status = trib_checkpoint_read_values(arguments->base, &base, &base_n, error);
        if (status == TRIB_OK && base_n != *n) {
            status = trib_fail(error, TRIB_MISMATCH, "%s has %zu values, %s has %zu: they are not of one model",
                               arguments->base, base_n, arguments->model, *n);
        }
        if (status != TRIB_OK) {
            trib_free(model);
            trib_free(base);
            return status;
        }
    }
    for (size_t i = 0; i < base_n; i++) {
        model[i] -= base[i];
    }
    trib_free(base);
    *vector = model;
    return TRIB_OK;
}

static double kurtosis_of(const float *vector, size_t n)
{
    double second = 0, fourth = 0;
    for (size_t i = 0; i < n; i++) {
        double square = (double)vector[i] * (double)vector[i];
        second += square;
        fourth += square * square;
    }
    return second > 0 ? fourth * (double)n / (second * second) : 0;
}

/* ---- output ---- */

static void print_head(const struct arguments *arguments, size_t n, double kurtosis)
{
    const char *what = arguments->model ? arguments->model : arguments->distribution;
    if (arguments->json) {
        printf("{\"vector\": \"%s\", \"n\": %zu, \"kurtosis\": %.4g, \"clients\": %d, \"chains\": [", what, n, kurtosis,
               (int)arguments->clients);
        return;
    }
    printf("%s%s%s: %zu coordinates, kurtosis %.3g (Gaussian: 3)\n", what, arguments->base ? " - " : "",
           arguments->base ? arguments->base : "", n, kurtosis);
    printf("%-34s %8s %9s %11s %9s %10s %10s\n", "chain", "bits", "NMSE", "mean NMSE", "4^-bits", "encode", "decode");
    printf("%-34s %8s %9s %8s %2d %9s %10s %10s\n", "", "/coord", "", "of", (int)arguments->clients, "", "MB/s",
           "MB/s");
}

static void print_figures(const struct arguments *arguments, const char *chain, const struct trib_chain_figures *f,
                          bool first)
{
    if (arguments->json) {
        printf("%s\n  {\"chain\": \"%s\", \"bits\": %.5f, \"nmse\": %.6g, \"mean_nmse\": %.6g, \"limit\": %.6g, "
               "\"encode_mbs\": %.1f, \"decode_mbs\": %.1f}",
               first ? "" : ",", chain, f->bits, f->nmse, f->mean_nmse, f->limit, f->encode_mbs, f->decode_mbs);
        return;
    }
    printf("%-34s %8.4f %9.3g %11.3g %9.3g %10.0f %10.0f\n", chain, f->bits, f->nmse, f->mean_nmse, f->limit,
           f->encode_mbs, f->decode_mbs);
    fflush(stdout);
}

static int print_stages(void)
{
    static const char *const kinds[] = {"transform", "sparsify", "quantise", "entropy"};
    const struct trib_stage *const *list;
    size_t n = trib_stages(&list);
    printf("A chain is TRANSFORM|SPARSIFY|QUANTISE|ENTROPY, of which only QUANTISE must be there.\n");
    for (unsigned kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        printf("\n%s:\n", kinds[kind]);
        for (size_t i = 0; i < n; i++) {
            if ((unsigned)list[i]->kind == kind) {
                char usage[TRIB_STAGE_USAGE];
                trib_stage_usage(list[i], usage);
                printf("  %-28s %s\n", usage, list[i]->help);
            }
        }
    }
    return 0;
}

/* ---- the command ---- */

static int fail(const struct trib_error *error)
{
    fprintf(stderr, "tributaryctl codec-bench: %s\n", error->message);
    return trib_status_exit_code(error->status);
}

static enum trib_status measure_all(const struct arguments *arguments, const struct trib_chain_measure_options *options,
                                    struct trib_error *error)
{
    bool given = arguments->chains.n > 0;
    size_t n = given ? arguments->chains.n : sizeof default_chains / sizeof default_chains[0];
    const char *const *texts = given ? arguments->chains.values : default_chains;
    struct trib_chain chain;
    for (size_t i = 0; i < n; i++) { /* before anything is measured */
        enum trib_status status = trib_chain_parse(texts[i], &chain, error);
        if (status != TRIB_OK) {
            return trib_error_prefix(error, status, "--chain \"%.60s\"", texts[i]);
        }
    }
    print_head(arguments, options->n, kurtosis_of(options->vector, options->n));
    for (size_t i = 0; i < n; i++) {
        struct trib_chain_figures figures;
        TRIB_TRY(trib_chain_parse(texts[i], &chain, error));
        enum trib_status status = trib_chain_measure(&chain, options, &figures, error);
        if (status != TRIB_OK) {
            return trib_error_prefix(error, status, "--chain \"%.60s\"", texts[i]);
        }
        print_figures(arguments, chain.text, &figures, i == 0);
    }
    if (arguments->json) {
        printf("\n]}\n");
    }
    return TRIB_OK;
}

static enum trib_status check(const struct arguments *arguments, size_t n_operands, const char *operand,
                              struct trib_error *error)
{
    if (n_operands > 0) {
        return trib_fail(error, TRIB_INVALID, "\"%s\" is not an option; chains follow --chain", operand);
    }
    if (arguments->base && !arguments->model) {
        return trib_fail(error, TRIB_INVALID, "--base is what --model is compared with: give both");
    }
    return TRIB_OK;
}

static enum trib_status run(const struct arguments *arguments, struct trib_error *error)
{
    float *vector = NULL;
    struct trib_thread_pool *pool = NULL;
    struct trib_chain_measure_options options = {
        .clients = (unsigned)arguments->clients, .runs = (unsigned)arguments->runs, .seed = (uint64_t)arguments->seed};
    enum trib_status status = arguments->model ? read_model(arguments, &vector, &options.n, error)
                                               : make_synthetic(arguments, &vector, &options.n, error);
    if (status == TRIB_OK && arguments->threads != 1) {
        status = trib_thread_pool_new((int)arguments->threads, &pool, error);
    }
    if (status == TRIB_OK) {
        options.vector = vector;
        options.pool = pool;
        status = measure_all(arguments, &options, error);
    }
    trib_thread_pool_free(pool);
    trib_free(vector);
    return status;
}

int trib_ctl_codec_bench(int argc, char *const *argv)
{
    struct arguments arguments = {
        .distribution = "gaussian", .synthetic = 1 << 20, .clients = 8, .threads = 1, .runs = 3, .seed = 1};
    const struct trib_option table[] = {
        {"model", 'm', TRIB_OPTION_STRING, &arguments.model, 0, 0, "FILE", "measure on a checkpoint (safetensors)"},
        {"base", 'b', TRIB_OPTION_STRING, &arguments.base, 0, 0, "FILE",
         "on the difference from this checkpoint: an update"},
        {"synthetic", 's', TRIB_OPTION_INT, &arguments.synthetic, 1, 1 << 28, "N",
         "on N drawn coordinates (default 1048576)"},
        {"distribution", 'd', TRIB_OPTION_STRING, &arguments.distribution, 0, 0, "NAME",
         "drawn from: gaussian, laplace, student"},
        {"chain", 'c', TRIB_OPTION_REPEAT, &arguments.chains, 0, 0, "CHAIN",
         "a chain of codecs; may be repeated (default: a selection)"},
        {"clients", 'n', TRIB_OPTION_INT, &arguments.clients, 1, 10000, "N",
         "clients whose frames are averaged (default 8)"},
        {"threads", 't', TRIB_OPTION_INT, &arguments.threads, 0, 1024, "N",
         "threads; 0 = one for each core (default 1)"},
        {"runs", 'r', TRIB_OPTION_INT, &arguments.runs, 1, 1000, "N", "times are the best of N runs (default 3)"},
        {"seed", 0, TRIB_OPTION_INT, &arguments.seed, 0, 0, "N", "of the drawn vector and the codecs (default 1)"},
        {"json", 'j', TRIB_OPTION_FLAG, &arguments.json, 0, 0, NULL, "print JSON"},
        {"list", 'l', TRIB_OPTION_FLAG, &arguments.list, 0, 0, NULL, "list the codecs and end"},
        {"help", 'h', TRIB_OPTION_FLAG, &arguments.help, 0, 0, NULL, "show this help and end"},
    };
    const size_t n_options = sizeof table / sizeof table[0];
    struct trib_error error;
    const char *operand = NULL;
    size_t n_operands = 0;
    enum trib_status status = trib_cli_parse(argc, argv, table, n_options, &operand, 1, &n_operands, &error);
    if (status == TRIB_OK && arguments.help) {
        trib_cli_help(
            stdout, "tributaryctl codec-bench [OPTION]...",
            "What chains of codecs cost and keep: bits a coordinate on the wire, normalised mean square error, "
            "speed.",
            table, n_options);
        return 0;
    }
    if (status == TRIB_OK && arguments.list) {
        return print_stages();
    }
    if (status == TRIB_OK) {
        status = check(&arguments, n_operands, operand, &error);
    }
    if (status == TRIB_OK) {
        status = run(&arguments, &error);
    }
    return status == TRIB_OK ? 0 : fail(&error);
}
