/* The power goes, the process dies, or the disk fails, at any operation: what a persistent backend then shows is what
 * it had after one of its transactions, none in part, and none before the last that was durable (after a death: none
 * before the last one). The disk is simulated; a failing seed is printed. */
#include "sim_disk.h"
#include "sim_disk_vfs.h"
#include "store_random.h"

#include "test_main.h"

#include <errno.h>
#include <stdio.h>

enum { SEEDS = 400, LIVES = 4, TRANSACTIONS = 25 };

static struct sim_disk *disk;
static struct trib_error error;

struct history {
    struct trib_buf states[LIVES * TRANSACTIONS + 2]; /* after each transaction that may be there; the first: nothing */
    size_t n, least;                                  /* the state cannot be an earlier one than states[least] */
};

static void forget(struct history *history, size_t from)
{
    for (size_t i = from; i < history->n; i++) {
        trib_buf_clear(&history->states[i]);
    }
    history->n = from;
}

/* One transaction: false when it failed, and the process is to die. `twin` follows, `history` notes. */
static bool transact(struct trib_store *store, struct trib_store *twin, struct trib_rng *rng, struct history *history,
                     bool power)
{
    bool durable = trib_rng_below(rng, 2), doubtful = false;
    size_t n = 1 + trib_rng_below(rng, 4);
    if (trib_store_begin(store, &error) != TRIB_OK) {
        return false;
    }
    ck_assert_int_eq(trib_store_begin(twin, &error), TRIB_OK);
    for (size_t i = 0; i < n; i++) {
        enum trib_store_table_id table = (enum trib_store_table_id)trib_rng_below(rng, TRIB_STORE_TABLES);
        struct random_record record;
        random_fill(rng, table, &record);
        ck_assert_int_eq(trib_store_put(twin, table, record.data, &error), TRIB_OK);
        if (trib_store_put(store, table, record.data, &error) != TRIB_OK) {
            trib_store_undo(store);
            trib_store_undo(twin);
            return false;
        }
    }
    struct trib_buf after = dump_all(twin);
    enum trib_status status = trib_store_end(store, durable, &doubtful, &error);
    if (status != TRIB_OK && !doubtful) {
        trib_buf_clear(&after);
        trib_store_undo(twin);
        return false;
    }
    history->states[history->n++] = after;
    ck_assert_int_eq(trib_store_end(twin, durable, NULL, NULL), TRIB_OK);
    if (status == TRIB_OK && (durable || !power)) {
        history->least = history->n - 1;
    }
    return status == TRIB_OK;
}

/* Which of the states it may be in it is in; history->n when in none. */
static size_t find_state(const struct history *history, const struct trib_buf *found)
{
    for (size_t i = history->n; i > history->least; i--) {
        if (dump_equal(&history->states[i - 1], found)) {
            return i - 1;
        }
    }
    return history->n;
}

static enum trib_status copy_record(void *context, const void *record, struct trib_error *failure)
{
    struct random_dump *dump = context;
    return trib_store_put(*(struct trib_store **)dump->text.data, dump->table, record, failure);
}

/* The twin becomes what the store is. */
static void copy_all(struct trib_store *from, struct trib_store *to)
{
    ck_assert_int_eq(trib_store_begin(to, &error), TRIB_OK);
    for (size_t t = 0; t < TRIB_STORE_TABLES; t++) {
        struct random_dump dump = {.table = (enum trib_store_table_id)t, .text = {.data = (uint8_t *)&to}};
        ck_assert_int_eq(trib_store_remove(to, dump.table, NULL, 0, NULL, &error), TRIB_OK);
        ck_assert_int_eq(trib_store_each(from, dump.table, NULL, 0, copy_record, &dump, &error), TRIB_OK);
    }
    ck_assert_int_eq(trib_store_end(to, true, NULL, &error), TRIB_OK);
}

enum end { POWER, DEATH, FAULT, FULL, ENDS };

/* Opens the store, which may meet the fault already: NULL. */
static struct trib_store *open_store(const struct trib_store_backend *backend, struct trib_rng *rng, enum end end)
{
    static const int errnums[] = {EIO, ENOSPC};
    struct trib_store *store = NULL;
    uint64_t after = trib_rng_below(rng, 250);
    if (end == POWER || end == DEATH) {
        sim_disk_stop_after(disk, after);
    } else if (end == FAULT) {
        sim_disk_fail(disk, after, errnums[trib_rng_below(rng, 2)], trib_rng_below(rng, 2));
    } else {
        sim_disk_capacity(disk, sim_disk_counts(disk).held + trib_rng_below(rng, 300000));
    }
    return trib_store_open(backend, "/state.db", &store, &error) == TRIB_OK ? store : NULL;
}

static void end_life(struct trib_store *store, enum end end, bool power)
{
    if (power) {
        sim_disk_crash(disk);
    } else if (end == DEATH || end == POWER) {
        sim_disk_kill(disk);
    }
    sim_disk_fail(disk, 0, 0, false);
    sim_disk_capacity(disk, 0);
    trib_store_close(store);
    sim_disk_start(disk);
}

/* A life's end is seen by the next one. */
static void live(const struct trib_store_backend *backend, struct trib_store *twin, struct trib_rng *rng,
                 struct history *history, uint64_t seed, int life)
{
    enum end end = (enum end)trib_rng_below(rng, ENDS);
    bool power = end == POWER || (end != DEATH && trib_rng_below(rng, 2));
    struct trib_store *store = open_store(backend, rng, end);
    for (int i = 0; store && i < TRANSACTIONS && transact(store, twin, rng, history, power); i++) {
    }
    end_life(store, end, power);
    ck_assert_msg(trib_store_open(backend, "/state.db", &store, &error) == TRIB_OK, "seed %" PRIu64 ", life %d: %s",
                  seed, life, error.message);
    ck_assert_msg(trib_store_check(store, &error) == TRIB_OK, "seed %" PRIu64 ", life %d: %s", seed, life,
                  error.message);
    struct trib_buf found = dump_all(store);
    size_t state = find_state(history, &found);
    ck_assert_msg(state < history->n, "seed %" PRIu64 ", life %d, end %d: not a state from %zu to %zu", seed, life,
                  (int)end, history->least, history->n - 1);
    copy_all(store, twin);
    forget(history, 0);
    history->states[history->n++] = found;
    history->least = 0;
    trib_store_close(store);
}

static void run(const struct trib_store_backend *backend, uint64_t seed)
{
    struct trib_rng rng = trib_rng_init(seed, "conform_store_crash", 0, 0);
    struct trib_store *twin = NULL;
    static struct history history;
    history = (struct history){0};
    ck_assert_int_eq(trib_store_open(trib_store_backend_find("memory"), NULL, &twin, &error), TRIB_OK);
    disk = sim_disk_new(seed);
    sim_disk_vfs_seed(seed);
    const struct trib_disk *before = trib_disk_use(sim_disk_table(disk));
    history.states[history.n++] = dump_all(twin);
    for (int life = 0; life < LIVES; life++) {
        live(backend, twin, &rng, &history, seed, life);
    }
    trib_disk_use(before);
    sim_disk_free(disk);
    forget(&history, 0);
    trib_store_close(twin);
}

START_TEST(a_crash_leaves_whole_transactions)
{
    const struct trib_store_backend *const *backends;
    size_t n = trib_store_backends(&backends);
    sim_disk_vfs_register();
    for (size_t i = 0; i < n; i++) {
        for (uint64_t seed = 1; backends[i]->persistent && seed <= SEEDS; seed++) {
            run(backends[i], seed);
        }
    }
    printf("seeds 1 to %d, %d lives each\n", SEEDS, LIVES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conform_store_crash");
    TCase *tcase = tcase_create("crash");
    tcase_set_timeout(tcase, 280);
    tcase_add_test(tcase, a_crash_leaves_whole_transactions);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
