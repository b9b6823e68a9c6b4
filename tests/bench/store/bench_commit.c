/* What a durable commit costs: a model as a blob, its records in one transaction, its names; beside a plain durable
 * write of the same bytes (write, fsync, rename, fsync of the folder), the two by turns in one run, so that the disk's
 * moods meet both. Medians; syncs are counted where they are made, SQLite's too.
 *
 *   bench-commit [DIR]    DIR: on the disk to be measured; the present folder when not given */
#include "bench_options.h"

#include "model/checkpoint.h"
#include "store/blobs.h"
#include "store/model_files.h"
#include "store/store.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- every sync of this process, the libraries' too ---- */

static uint64_t syncs;
static int64_t syncs_ns;

static int timed_sync(long call, int fd)
{
    int64_t start = trib_clock_ns();
    int result = (int)syscall(call, fd);
    syncs_ns += trib_clock_ns() - start;
    syncs++;
    return result;
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    return timed_sync(SYS_fsync, fd);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    return timed_sync(SYS_fdatasync, fd);
}

/* ---- measuring ---- */

enum { RUNS_MOST = 512 };

struct samples {
    double ms[RUNS_MOST];
    size_t n;
    uint64_t syncs;
    double syncs_ms;
};

static void must(enum trib_status status, const struct trib_error *error)
{
    if (status != TRIB_OK) {
        fprintf(stderr, "bench_commit: %s\n", error->message);
        exit(EXIT_FAILURE);
    }
}

static int64_t start_sample(void)
{
    syncs = 0;
    syncs_ns = 0;
    return trib_clock_ns();
}

static void end_sample(struct samples *samples, int64_t start)
{
    samples->ms[samples->n++] = (double)(trib_clock_ns() - start) / 1e6;
    samples->syncs += syncs;
    samples->syncs_ms += (double)syncs_ns / 1e6;
}

static int by_value(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static double report(const char *name, struct samples *samples)
{
    qsort(samples->ms, samples->n, sizeof samples->ms[0], by_value);
    double median = samples->ms[samples->n / 2];
    printf("%s_median %.3f ms\n", name, median);
    printf("%s_fastest %.3f ms\n", name, samples->ms[0]);
    printf("%s_slowest %.3f ms\n", name, samples->ms[samples->n - 1]);
    printf("%s_syncs %.1f calls\n", name, (double)samples->syncs / (double)samples->n);
    printf("%s_syncs_time %.3f ms\n", name, samples->syncs_ms / (double)samples->n);
    return median;
}

/* ---- what is measured ---- */

struct bench {
    char dir[256];
    struct trib_store *store;
    struct trib_blobs *blobs;
    struct trib_schema schema;
    float *model;
    uint64_t version;
    struct trib_blob_name last;
};

static void plain_write(const struct bench *b, struct samples *samples)
{
    struct trib_error error = {0};
    char path[320];
    snprintf(path, sizeof path, "%s/plain", b->dir);
    int64_t start = start_sample();
    must(trib_file_replace(path, b->model, b->schema.n_floats * sizeof *b->model, &error), &error);
    end_sample(samples, start);
}

static void put_records(struct bench *b, const struct trib_blob_name *name)
{
    struct trib_error error = {0};
    struct trib_store_versions version = {.run = "bench", .version = b->version, .len = name->len};
    struct trib_store_version_blobs blob = {.run = "bench", .version = b->version, .kind = "model", .len = name->len};
    struct trib_store_rounds round = {.run = "bench", .round = b->version, .outcome = "committed"};
    struct trib_store_audit audit = {.number = b->version, .run = "bench", .event = "round_committed"};
    struct trib_store_runs run = {.run = "bench", .number = 1, .round = b->version};
    memcpy(version.sha256, name->sha256, sizeof version.sha256);
    memcpy(blob.sha256, name->sha256, sizeof blob.sha256);
    must(trib_store_put(b->store, TRIB_STORE_versions, &version, &error), &error);
    must(trib_store_put(b->store, TRIB_STORE_version_blobs, &blob, &error), &error);
    must(trib_store_put(b->store, TRIB_STORE_rounds, &round, &error), &error);
    must(trib_store_put(b->store, TRIB_STORE_audit, &audit, &error), &error);
    must(trib_store_put(b->store, TRIB_STORE_runs, &run, &error), &error);
    for (int i = 0; i < 10; i++) { /* a cohort */
        struct trib_store_outcomes outcome = {.run = "bench", .round = b->version, .outcome = "folded"};
        struct trib_store_members member = {.run = "bench", .state = 5};
        snprintf(outcome.node, sizeof outcome.node, "node-%d", i);
        snprintf(member.node, sizeof member.node, "node-%d", i);
        must(trib_store_put(b->store, TRIB_STORE_outcomes, &outcome, &error), &error);
        must(trib_store_put(b->store, TRIB_STORE_members, &member, &error), &error);
    }
}

static enum trib_status add_to_blob(void *context, const void *bytes, size_t len, struct trib_error *error)
{
    return trib_blob_writer_add(context, bytes, len, error);
}

/* All that makes a version last: its blob, its records, its names; and the version before it goes. */
static void commit(struct bench *b, struct samples *samples)
{
    struct trib_error error = {0};
    struct trib_blob_writer *writer = NULL;
    struct trib_blob_name name = {0};
    uint64_t len = 0;
    b->model[0] = (float)++b->version; /* other bytes each time */
    int64_t start = start_sample();
    must(trib_checkpoint_len(&b->schema, NULL, 0, &len, &error), &error);
    must(trib_blob_writer_begin(b->blobs, len, &writer, &error), &error);
    must(trib_checkpoint_emit(&b->schema, b->model, NULL, 0, add_to_blob, writer, &error), &error);
    must(trib_blob_writer_end(writer, &name, &error), &error);
    must(trib_blobs_sync(b->blobs, &error), &error);
    must(trib_store_begin(b->store, &error), &error);
    put_records(b, &name);
    must(trib_store_end(b->store, true, NULL, &error), &error);
    char *path = trib_blobs_path(b->blobs, name.sha256);
    must(trib_model_files_link(b->dir, b->version, path ? path : "", 1, &error), &error);
    trib_free(path);
    if (b->last.len > 0) {
        trib_blobs_remove(b->blobs, b->last.sha256);
    }
    end_sample(samples, start);
    b->last = name;
}

static void make_model(struct bench *b, int64_t n)
{
    struct trib_error error = {0};
    struct trib_graph *graph = trib_graph_new();
    trib_value value;
    if (!graph) {
        must(TRIB_NO_MEMORY, &(struct trib_error){.message = "out of memory"});
    }
    must(trib_graph_variable(graph, TRIB_VALUE_PARAMETER, "w", &TRIB_SHAPE(n), TRIB_INIT_ZEROS, &value, &error),
         &error);
    must(trib_schema_init(&b->schema, graph, &error), &error);
    trib_graph_free(graph);
    b->model = trib_malloc_aligned(b->schema.n_floats, sizeof *b->model);
    if (!b->model) {
        must(TRIB_NO_MEMORY, &(struct trib_error){.message = "out of memory"});
    }
    for (size_t i = 0; i < b->schema.n_floats; i++) {
        b->model[i] = (float)i;
    }
}

static void bench_model(struct bench *b, const char *size, int64_t n, size_t runs)
{
    static struct samples plain, whole;
    char name[64];
    make_model(b, n);
    memset(&plain, 0, sizeof plain);
    memset(&whole, 0, sizeof whole);
    plain_write(b, &plain); /* once each, not counted: files and folders are there then */
    commit(b, &whole);
    memset(&plain, 0, sizeof plain);
    memset(&whole, 0, sizeof whole);
    for (size_t run = 0; run < runs; run++) {
        plain_write(b, &plain);
        commit(b, &whole);
    }
    snprintf(name, sizeof name, "plain_write_%s", size);
    double plain_ms = report(name, &plain);
    snprintf(name, sizeof name, "commit_%s", size);
    double commit_ms = report(name, &whole);
    printf("commit_%s_ratio %.3f x\n", size, commit_ms / plain_ms);
    trib_free(b->model);
    trib_schema_clear(&b->schema);
}

/* Transactions without a blob: what a round notes on its way. */
static void bench_records(struct bench *b, const char *name, bool durable)
{
    static struct samples samples;
    struct trib_error error = {0};
    memset(&samples, 0, sizeof samples);
    for (size_t i = 0; i < RUNS_MOST; i++) {
        b->version++;
        int64_t start = start_sample();
        must(trib_store_begin(b->store, &error), &error);
        put_records(b, &b->last);
        must(trib_store_end(b->store, durable, NULL, &error), &error);
        end_sample(&samples, start);
    }
    report(name, &samples);
}

static void remove_tree(const char *path)
{
    DIR *listing = opendir(path);
    const struct dirent *entry;
    while (listing && (entry = readdir(listing))) {
        char child[512];
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(child) != 0) {
            remove_tree(child);
        }
    }
    if (listing) {
        closedir(listing);
    }
    rmdir(path);
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct trib_error error = {0};
    const char *parent = ".";
    const struct trib_option options[] = {
        {"dir", 0, TRIB_OPTION_STRING, &parent, 0, 0, "DIR", "on the disk to measure; default the current one"},
    };
    bench_options(argc, argv, "bench-commit", "Commits of records and of models a second.", options, 1);
    snprintf(b.dir, sizeof b.dir, "%.200s/bench-commit-XXXXXX", parent);
    if (!mkdtemp(b.dir)) {
        perror(b.dir);
        return EXIT_FAILURE;
    }
    char *path = trib_path_join(b.dir, "state.db");
    must(trib_store_open(trib_store_backend_find("sqlite"), path ? path : "", &b.store, &error), &error);
    trib_free(path);
    must(trib_blobs_open(b.dir, &b.blobs, &error), &error);
    bench_records(&b, "records", false);
    bench_records(&b, "records_durable", true);
    bench_model(&b, "1m", 1000000, 41);
    bench_model(&b, "100m", 100000000, 9);
    trib_blobs_close(b.blobs);
    trib_store_close(b.store);
    remove_tree(b.dir);
    return EXIT_SUCCESS;
}
