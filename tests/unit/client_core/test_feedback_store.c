/* The client's state of error feedback: what counts after folded, skipped and lost updates, restarts, crashes and
 * damage. */
#include "client/feedback_store.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "codec/frame.h"
#include "test_frames.h"
#include "test_main.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N = TRIB_CODEC_BLOCK + 1000 };

struct fixture {
    char dir[32], state[48], committed[64], pending[80], log[48];
    bool in_memory;
    struct trib_feedback_store *store;
    struct trib_chain chain;
    /* of the next round */
    char run[16];
    uint8_t schema[32];
    struct trib_feedback feedback;
    size_t n;
    uint64_t known;
    enum trib_status kept;
    float *delta, *vector, *sent; /* [N] */
    double *owed;                 /* [N] what the state must hold: sum of folded delta - sent; ef21: of -sent */
};

static void open_store(struct fixture *f)
{
    trib_feedback_store_free(f->store);
    ck_assert_int_eq(trib_feedback_store_new(f->in_memory ? NULL : f->state, &f->store, NULL), TRIB_OK);
}

static void setup(struct fixture *f, const char *kind, const char *chain, bool in_memory)
{
    *f = (struct fixture){.in_memory = in_memory, .chain = chain_of(chain), .run = "run-a", .schema = {5}, .n = N};
    snprintf(f->dir, sizeof f->dir, "/tmp/trib-feedback-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    snprintf(f->state, sizeof f->state, "%s/state", f->dir); /* is not there yet */
    snprintf(f->committed, sizeof f->committed, "%s/feedback", f->state);
    snprintf(f->pending, sizeof f->pending, "%s/feedback.pending", f->state);
    snprintf(f->log, sizeof f->log, "%s/log", f->dir);
    const struct trib_log_options log = {.level = TRIB_LOG_INFO, .path = f->log};
    ck_assert_int_eq(trib_log_open(&log, NULL), TRIB_OK);
    ck_assert_int_eq(trib_feedback_read(kind, 0, &f->feedback, NULL), TRIB_OK);
    f->delta = trib_calloc(N, sizeof(float));
    f->vector = trib_calloc(N, sizeof(float));
    f->sent = trib_calloc(N, sizeof(float));
    f->owed = trib_calloc(N, sizeof(double));
    ck_assert(f->delta && f->vector && f->sent && f->owed);
    open_store(f);
}

static void teardown(struct fixture *f)
{
    trib_feedback_store_free(f->store);
    trib_log_close();
    (void)unlink(f->committed);
    (void)unlink(f->pending);
    (void)unlink(f->log);
    (void)rmdir(f->state);
    ck_assert_int_eq(rmdir(f->dir), 0); /* nothing else was left */
    trib_free(f->delta);
    trib_free(f->vector);
    trib_free(f->sent);
    trib_free(f->owed);
}

static void logged(const struct fixture *f, const char *word)
{
    struct trib_buf text = {0};
    ck_assert_int_eq(trib_file_read(f->log, 1 << 20, &text, NULL), TRIB_OK);
    ck_assert_msg(strstr(trib_buf_text(&text), word), "no \"%s\" in: %s", word, trib_buf_text(&text));
    trib_buf_clear(&text);
}

static enum trib_status begin(struct fixture *f, uint64_t round, uint64_t folded_round)
{
    const struct trib_feedback_round about = {
        .feedback = f->feedback, .run = f->run, .schema = f->schema, .round = round, .folded_round = folded_round};
    memcpy(f->vector, f->delta, f->n * sizeof(float));
    return trib_feedback_store_begin(f->store, &about, f->vector, f->n, &f->known, NULL);
}

/* Train, code, keep: the update f->sent waits for its outcome. */
static void make_update(struct fixture *f, uint64_t round, uint64_t folded_round)
{
    struct trib_rng rng = trib_rng_init(round, "delta", 0, 0);
    for (size_t i = 0; i < f->n; i++) {
        f->delta[i] = trib_rng_uniform(&rng) - 0.5f;
    }
    ck_assert_int_eq(begin(f, round, folded_round), TRIB_OK);
    struct trib_feedback_coding coding = {.kind = f->feedback.kind, .vector = f->vector};
    const struct trib_frame_job job = {.kind = TRIB_FRAME_UPDATE,
                                       .chain = &f->chain,
                                       .seed = round,
                                       .schema = f->schema,
                                       .vector = f->vector,
                                       .n = f->n,
                                       .decoded = f->feedback.kind == TRIB_FEEDBACK_NONE ? NULL : trib_feedback_decoded,
                                       .context = &coding};
    struct trib_blob *frame = NULL;
    ck_assert_int_eq(trib_frame_encode(&job, &frame, NULL), TRIB_OK);
    const struct trib_frame_source source = trib_frame_source_memory(frame);
    ck_assert_int_eq(trib_frame_decode(&source, NULL, f->sent, f->n, NULL), TRIB_OK);
    trib_blob_unref(frame);
    f->kept = trib_feedback_store_keep(f->store, f->vector, NULL);
}

/* f->sent is in the server's model now. */
static void owe(struct fixture *f)
{
    for (size_t i = 0; i < f->n; i++) {
        f->owed[i] += (f->feedback.kind == TRIB_FEEDBACK_EF21 ? 0 : (double)f->delta[i]) - (double)f->sent[i];
    }
}

/* What the state adds to a delta of zero is what is owed. Ends with the state as it was. */
static void holds(struct fixture *f, uint64_t round, uint64_t folded_round, bool something)
{
    double worst = 0, size = 0;
    memset(f->delta, 0, f->n * sizeof(float));
    ck_assert_int_eq(begin(f, round, folded_round), TRIB_OK);
    trib_feedback_store_abandon(f->store, NULL);
    for (size_t i = 0; i < f->n; i++) {
        worst = fmax(worst, fabs((double)f->vector[i] - (something ? f->owed[i] : 0)));
        size = fmax(size, fabs((double)f->vector[i]));
    }
    ck_assert_double_le(worst, 1e-4);
    ck_assert_msg((size > 0.01) == something, "round %d: %g", (int)round, size);
}

/* ---- exactly once ---- */

enum fate { FOLDED, FOLDED_AND_NOT_TOLD, SKIPPED, LOST, FATES };

/* 24 rounds of every fate, with restarts in between. */
static void every_fate(const char *kind, const char *chain, bool in_memory)
{
    struct fixture f;
    uint64_t folded_round = 0;
    struct trib_rng rng = trib_rng_init(4, "fates", 0, 0);
    setup(&f, kind, chain, in_memory);
    for (uint64_t round = 1; round <= 24; round++) {
        enum fate fate = (enum fate)trib_rng_below(&rng, FATES);
        make_update(&f, round, folded_round);
        ck_assert_uint_eq(f.known, folded_round);
        if (!in_memory && trib_rng_below(&rng, 3) == 0) {
            open_store(&f); /* before the outcome */
        }
        if (fate == FOLDED || fate == FOLDED_AND_NOT_TOLD) {
            folded_round = round;
            owe(&f);
        }
        if (fate == FOLDED || fate == SKIPPED) {
            trib_feedback_store_settle(f.store, f.run, round, fate == FOLDED);
        }
        trib_feedback_store_settle(f.store, f.run, round + 7, true); /* of other rounds and runs: ignored */
        trib_feedback_store_settle(f.store, "run-b", round, true);
        if (!in_memory && trib_rng_below(&rng, 3) == 0) {
            open_store(&f);
        }
    }
    ck_assert_uint_gt(folded_round, 10);
    holds(&f, 25, folded_round, true);
    teardown(&f);
}

START_TEST(each_update_counts_exactly_once)
{
    every_fate("ef", "topk:5%|f32", false);
    every_fate("ef", "sign", true);
    every_fate("ef21", "topk:5%|f32", false);
    every_fate("ef21", "topk:5%|f32", true);
    every_fate("dgc", "ternary:5%", false);
    every_fate("dgc", "topk:5%|sign", true);
}
END_TEST

/* Of an update that was skipped, nothing stays; of those before it, what was owed. Rounds lie apart, as where a server
 * picks other clients in between, or folds late. */
START_TEST(a_skipped_round_leaves_the_residual_as_it_was)
{
    static const char *const kinds[] = {"ef", "ef21", "dgc"};
    struct fixture f;
    setup(&f, kinds[_i], "topk:5%|f32", false);
    make_update(&f, 2, 0);
    trib_feedback_store_settle(f.store, f.run, 2, true);
    owe(&f);
    for (uint64_t round = 5; round <= 13; round += 4) {
        make_update(&f, round, 2);
        ck_assert_uint_eq(f.known, 2);
        trib_feedback_store_settle(f.store, f.run, round, false);
        holds(&f, round + 1, 2, true);
    }
    make_update(&f, 40, 2); /* and goes on from there */
    owe(&f);
    holds(&f, 41, 40, true); /* the next task tells that it was folded */
    teardown(&f);
}
END_TEST

/* dgc's momentum goes with the state: the same rounds through a file and through memory give the same bits. */
START_TEST(files_and_memory_agree)
{
    struct fixture file, memory;
    setup(&file, "dgc", "topk:5%|sign", false);
    setup(&memory, "dgc", "topk:5%|sign", true);
    file.feedback.momentum = memory.feedback.momentum = 0.9;
    for (uint64_t round = 1; round <= 6; round++) {
        make_update(&file, round, round - 1);
        make_update(&memory, round, round - 1);
        ck_assert_mem_eq(file.sent, memory.sent, N * sizeof(float));
    }
    struct stat info;
    ck_assert_int_eq(stat(file.pending, &info), 0);
    ck_assert_uint_eq((uint64_t)info.st_size, 128 + 2 * N * sizeof(float) + 4);
    ck_assert_uint_eq(trib_feedback_store_memory(file.store, TRIB_FEEDBACK_DGC, N), 2 * TRIB_CODEC_BLOCK * 4);
    ck_assert_uint_eq(trib_feedback_store_memory(memory.store, TRIB_FEEDBACK_DGC, N),
                      2 * TRIB_CODEC_BLOCK * 4 + 16 * N);
    teardown(&memory);
    ck_assert_int_eq(trib_log_open(&(struct trib_log_options){.path = file.log}, NULL), TRIB_OK);
    teardown(&file);
}
END_TEST

/* ---- crashes ---- */

START_TEST(a_crash_at_any_point_leaves_one_or_the_other)
{
    struct fixture f;
    char half_written[96];
    setup(&f, "ef", "topk:5%|f32", false);
    make_update(&f, 1, 0);
    trib_feedback_store_settle(f.store, f.run, 1, true);
    owe(&f);
    ck_assert(trib_file_exists(f.committed) && !trib_file_exists(f.pending));
    /* while the second was being written */
    snprintf(half_written, sizeof half_written, "%s.tmp", f.pending);
    ck_assert_int_eq(trib_file_replace(half_written, "TRFB and no more", 16, NULL), TRIB_OK);
    open_store(&f);
    holds(&f, 2, 1, true);
    ck_assert(!trib_file_exists(half_written));
    /* after it was written: the server never got it */
    make_update(&f, 2, 1);
    ck_assert(trib_file_exists(f.committed) && trib_file_exists(f.pending));
    open_store(&f);
    holds(&f, 3, 1, true);
    ck_assert(!trib_file_exists(f.pending));
    /* after it was written: the server has it, and says so with the next task */
    make_update(&f, 3, 1);
    open_store(&f);
    owe(&f);
    holds(&f, 4, 3, true);
    ck_assert_uint_eq(f.known, 3);
    ck_assert(!trib_file_exists(f.pending));
    /* the same round begun again */
    make_update(&f, 4, 3);
    open_store(&f);
    make_update(&f, 4, 3);
    trib_feedback_store_settle(f.store, f.run, 4, true);
    owe(&f);
    open_store(&f);
    holds(&f, 5, 4, true);
    logged(&f, "state_found");
    teardown(&f);
}
END_TEST

/* ---- what no longer fits ---- */

static void settled(struct fixture *f, const char *kind)
{
    setup(f, kind, "topk:5%|f32", false);
    make_update(f, 1, 0);
    trib_feedback_store_settle(f->store, f->run, 1, true);
    owe(f);
    open_store(f);
}

START_TEST(a_change_drops_the_state)
{
    static const char *const words[] = {"run is another", "schema is another", "kind of feedback is another",
                                        "length is another", "asks for none"};
    for (int change = 0; change < 5; change++) {
        struct fixture f;
        settled(&f, "ef");
        if (change == 0) {
            f.run[4] = 'b';
        } else if (change == 1) {
            f.schema[31] = 1;
        } else if (change == 2) {
            f.feedback.kind = TRIB_FEEDBACK_DGC;
        } else if (change == 3) {
            f.n = N - 1;
        } else {
            f.feedback.kind = TRIB_FEEDBACK_NONE;
        }
        holds(&f, 2, 1, false);
        ck_assert_uint_eq(f.known, 0);
        ck_assert(!trib_file_exists(f.committed));
        logged(&f, words[change]);
        make_update(&f, 2, 1); /* and life goes on */
        trib_feedback_store_settle(f.store, f.run, 2, true);
        ck_assert(trib_file_exists(f.committed) == (change != 4));
        teardown(&f);
    }
}
END_TEST

START_TEST(the_servers_word_counts)
{
    static const struct {
        const char *kind;
        uint64_t word;
        bool stands;
    } cases[] = {{"ef", 1, true},    {"ef", 0, true},    {"ef", 3, false}, {"ef21", 1, true},
                 {"ef21", 0, false}, {"ef21", 3, false}, {"dgc", 0, true}, {"dgc", 3, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        settled(&f, cases[i].kind);
        holds(&f, 5, cases[i].word, cases[i].stands);
        ck_assert_uint_eq(f.known, cases[i].stands ? 1 : 0);
        if (!cases[i].stands) {
            logged(&f, "level=warn");
            logged(&f, "it is of round 1");
        }
        teardown(&f);
    }
}
END_TEST

/* ---- damage ---- */

static void damage(const char *path, long at, int byte, long len)
{
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    if (byte >= 0) {
        fseek(file, at, SEEK_SET);
        fputc(byte, file);
    }
    fclose(file);
    if (len >= 0) {
        ck_assert_int_eq(truncate(path, len), 0);
    }
}

START_TEST(a_damaged_file_is_dropped_and_nothing_stops)
{
    const long whole = 128 + N * 4 + 4;
    const struct {
        long at;
        int byte;
        long len;
    } cases[] = {{0, 'X', -1},    {4, 9, -1},         {8, 77, -1},           {8, 0, -1},
                 {16, 1, -1},     {23, 0x7f, -1},     {24, 9, -1},           {70, 'x', -1},
                 {128, 0xa5, -1}, {whole - 1, 0, -1}, {whole - 5, 0xa5, -1}, {0, -1, 0},
                 {0, -1, 100},    {0, -1, 128},       {0, -1, whole - 1},    {0, -1, whole + 4}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        settled(&f, "ef");
        damage(f.committed, cases[i].at, cases[i].byte, cases[i].len);
        open_store(&f);
        holds(&f, 2, 1, false);
        logged(&f, "state_dropped");
        make_update(&f, 2, 1);
        ck_assert(trib_file_exists(f.pending) && !trib_file_exists(f.committed));
        teardown(&f);
    }
    struct fixture f; /* a pending one: the committed one is not the server's last any more */
    settled(&f, "ef");
    make_update(&f, 2, 1);
    damage(f.pending, 0, -1, 1000);
    open_store(&f);
    holds(&f, 3, 2, false);
    teardown(&f);
}
END_TEST

START_TEST(a_full_disk_costs_the_state_and_not_the_update)
{
    static const char *const kinds[] = {"ef", "ef21", "dgc"};
    struct rlimit before, little;
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        settled(&f, kinds[i]);
        little = before;
        little.rlim_cur = 100000;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
        make_update(&f, 2, 1);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        ck_assert_uint_eq(f.known, 1); /* the update was made from the state */
        ck_assert(!trib_file_exists(f.pending));
        if (f.feedback.kind == TRIB_FEEDBACK_EF21) { /* whose server would refuse this client from then on */
            ck_assert_int_ne(f.kept, TRIB_OK);
            holds(&f, 3, 1, true);
        } else {
            ck_assert_int_eq(f.kept, TRIB_OK);
            ck_assert(!trib_file_exists(f.committed));
            logged(&f, "cannot be written");
            holds(&f, 3, 2, false);
        }
        teardown(&f);
    }
}
END_TEST

START_TEST(a_state_dir_that_cannot_be_is_no_reason_to_stop)
{
    struct fixture f;
    setup(&f, "ef", "topk:5%|f32", false);
    ck_assert_int_eq(trib_file_replace(f.state, "a file", 6, NULL), TRIB_OK); /* where the folder should be */
    make_update(&f, 1, 0);
    make_update(&f, 2, 1);
    ck_assert_uint_eq(f.known, 0);
    logged(&f, "state_dropped");
    ck_assert_int_eq(unlink(f.state), 0);
    teardown(&f);
}
END_TEST

START_TEST(a_round_may_be_abandoned)
{
    struct fixture f;
    settled(&f, "ef");
    ck_assert_int_eq(begin(&f, 2, 1), TRIB_OK);
    trib_feedback_store_abandon(f.store, NULL);
    ck_assert(!trib_file_exists(f.pending));
    holds(&f, 2, 1, true);
    ck_assert_int_eq(begin(&f, 2, 1), TRIB_OK);
    ck_assert_int_eq(begin(&f, 2, 1), TRIB_OK); /* as if it had been */
    trib_feedback_store_abandon(f.store, "it is spoiled");
    logged(&f, "it is spoiled");
    holds(&f, 2, 1, false);
    ck_assert_int_eq(begin(&f, 2, 1), TRIB_OK);
    teardown(&f); /* in the middle of one */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("feedback_store");
    TCase *tests = tcase_create("feedback_store");
    tcase_add_test(tests, each_update_counts_exactly_once);
    tcase_add_loop_test(tests, a_skipped_round_leaves_the_residual_as_it_was, 0, 3);
    tcase_add_test(tests, files_and_memory_agree);
    tcase_add_test(tests, a_crash_at_any_point_leaves_one_or_the_other);
    tcase_add_test(tests, a_change_drops_the_state);
    tcase_add_test(tests, the_servers_word_counts);
    tcase_add_test(tests, a_damaged_file_is_dropped_and_nothing_stops);
    tcase_add_test(tests, a_full_disk_costs_the_state_and_not_the_update);
    tcase_add_test(tests, a_state_dir_that_cannot_be_is_no_reason_to_stop);
    tcase_add_test(tests, a_round_may_be_abandoned);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
