/* Every persistent backend does what the one in memory does: random sequences of changes, transactions that are ended
 * or undone, and reopening; everything is compared, results and refusals too. A failing seed is printed. */
#include "store_random.h"

#include "base/file.h"
#include "base/str.h"
#include "test_main.h"

#include <stdio.h>
#include <unistd.h>

enum { SEEDS = 30, STEPS = 400 };

static char dir[64], path[96];
static struct trib_store *tried, *twin;
static struct trib_error error;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-conform-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/state.db", dir);
}

static void tear_down(void)
{
    char log[112];
    trib_store_close(tried);
    trib_store_close(twin);
    tried = twin = NULL;
    snprintf(log, sizeof log, "%s-wal", path);
    unlink(path);
    ck_assert_msg(access(log, F_OK) != 0, "closing left a log");
    ck_assert_int_eq(rmdir(dir), 0);
}

static void open_tried(const struct trib_store_backend *backend)
{
    ck_assert_msg(trib_store_open(backend, path, &tried, &error) == TRIB_OK, "%s", error.message);
}

static void compare(struct trib_buf a, struct trib_buf b, uint64_t seed, int step, const char *what)
{
    ck_assert_msg(dump_equal(&a, &b), "seed %" PRIu64 ", step %d: %s differ (%zu and %zu bytes)", seed, step, what,
                  a.len, b.len);
    trib_buf_clear(&a);
    trib_buf_clear(&b);
}

static void compare_get(enum trib_store_table_id table, const struct random_record *wanted, uint64_t seed, int step)
{
    struct random_record a = *wanted, b = *wanted;
    bool found[2] = {false, false};
    ck_assert_int_eq(trib_store_get(tried, table, a.data, &found[0], &error), TRIB_OK);
    ck_assert_int_eq(trib_store_get(twin, table, b.data, &found[1], &error), TRIB_OK);
    ck_assert_msg(found[0] == found[1], "seed %" PRIu64 ", step %d: found %d", seed, step, found[0]);
    if (found[0]) {
        struct random_dump dumps[2] = {{.table = table}, {.table = table}};
        ck_assert_int_eq(dump_record(&dumps[0], a.data, NULL), TRIB_OK);
        ck_assert_int_eq(dump_record(&dumps[1], b.data, NULL), TRIB_OK);
        compare(dumps[0].text, dumps[1].text, seed, step, "records");
    } else {
        ck_assert(memcmp(&a, wanted, sizeof a) == 0 && memcmp(&b, wanted, sizeof b) == 0);
    }
}

/* What cannot be kept: numbers above the largest, texts without an end. */
static void spoil(struct trib_rng *rng, const struct trib_store_layout *layout, struct random_record *record)
{
    const struct trib_store_column *column = &layout->columns[trib_rng_below(rng, layout->n_columns)];
    if (column->kind != TRIB_STORE_KIND_BYTES) {
        size_t end = column == &layout->columns[layout->n_columns - 1] ? layout->record_size : column[1].offset;
        memset(record->data + column->offset, 0xff, end - column->offset);
    }
}

/* The same on both: the statuses are equal, and so is what they say was removed. */
static void change(struct trib_rng *rng, bool in_transaction, uint64_t seed, int step)
{
    enum trib_store_table_id table = (enum trib_store_table_id)trib_rng_below(rng, TRIB_STORE_TABLES);
    const struct trib_store_layout *layout = trib_store_layout(table);
    struct random_record record;
    random_fill(rng, table, &record);
    enum trib_status statuses[2];
    uint64_t removed[2] = {0, 0};
    size_t n_keys = trib_rng_below(rng, layout->n_keys + 1 + (trib_rng_below(rng, 20) == 0));
    switch (trib_rng_below(rng, 8)) {
    case 0: /* all at once is rare: else there is never much */
        n_keys = n_keys == 0 && trib_rng_below(rng, 4) ? 1 : n_keys;
        statuses[0] = trib_store_remove(tried, table, record.data, n_keys, &removed[0], NULL);
        statuses[1] = trib_store_remove(twin, table, record.data, n_keys, &removed[1], NULL);
        ck_assert(in_transaction || statuses[0] != TRIB_OK);
        break;
    case 1:
        if (n_keys <= layout->n_keys) {
            compare(dump_keys(tried, table, record.data, n_keys), dump_keys(twin, table, record.data, n_keys), seed,
                    step, layout->name);
        }
        return;
    case 2:
        compare_get(table, &record, seed, step);
        return;
    case 3:
        spoil(rng, layout, &record);
        /* fall through */
    default:
        statuses[0] = trib_store_put(tried, table, record.data, NULL);
        statuses[1] = trib_store_put(twin, table, record.data, NULL);
        ck_assert(in_transaction || statuses[0] != TRIB_OK);
        break;
    }
    ck_assert_msg(statuses[0] == statuses[1] && removed[0] == removed[1],
                  "seed %" PRIu64 ", step %d: %s and %s, %" PRIu64 " and %" PRIu64 " removed", seed, step,
                  trib_status_name(statuses[0]), trib_status_name(statuses[1]), removed[0], removed[1]);
}

static void end(struct trib_rng *rng, uint64_t seed, int step)
{
    bool durable = trib_rng_below(rng, 2), doubtful = true;
    if (trib_rng_below(rng, 3) == 0) {
        trib_store_undo(tried);
        trib_store_undo(twin);
    } else {
        ck_assert_msg(trib_store_end(tried, durable, &doubtful, &error) == TRIB_OK, "%s", error.message);
        ck_assert_int_eq(trib_store_end(twin, durable, NULL, &error), TRIB_OK);
        ck_assert(!doubtful);
    }
    compare(dump_all(tried), dump_all(twin), seed, step, "stores");
}

static void run(const struct trib_store_backend *backend, uint64_t seed)
{
    struct trib_rng rng = trib_rng_init(seed, "conform_store", 0, 0);
    bool in_transaction = false;
    for (int step = 0; step < STEPS; step++) {
        uint64_t choice = trib_rng_below(&rng, 40);
        if (choice < 2 && backend->persistent) { /* a transaction that is open is undone */
            trib_store_close(tried);
            tried = NULL;
            trib_store_undo(twin);
            in_transaction = false;
            open_tried(backend);
            compare(dump_all(tried), dump_all(twin), seed, step, "reopened stores");
        } else if (choice < 8) {
            if (in_transaction) {
                end(&rng, seed, step);
            } else {
                ck_assert_int_eq(trib_store_begin(tried, &error), TRIB_OK);
                ck_assert_int_eq(trib_store_begin(twin, &error), TRIB_OK);
            }
            in_transaction = !in_transaction;
        } else {
            change(&rng, in_transaction, seed, step);
        }
    }
    ck_assert_msg(trib_store_check(tried, &error) == (in_transaction ? TRIB_INTERNAL : TRIB_OK), "%s", error.message);
}

START_TEST(each_does_what_memory_does)
{
    const struct trib_store_backend *const *backends;
    size_t n = trib_store_backends(&backends);
    ck_assert_uint_ge(n, 2);
    for (size_t i = 0; i < n; i++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            ck_assert_int_eq(trib_store_open(trib_store_backend_find("memory"), NULL, &twin, &error), TRIB_OK);
            open_tried(backends[i]);
            run(backends[i], seed);
            trib_store_close(tried);
            trib_store_close(twin);
            tried = twin = NULL;
            unlink(path);
        }
        printf("%s: seeds 1 to %d, %d steps each\n", backends[i]->name, SEEDS, STEPS);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conform_store");
    TCase *tcase = tcase_create("store");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 240);
    tcase_add_test(tcase, each_does_what_memory_does);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
