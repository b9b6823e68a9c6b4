/* The worker: data that load or do not, and training from a received frame to a coded update. */
#include "worker_fixture.h"

START_TEST(training_gives_an_update_that_helps)
{
    struct fixture f;
    setup(&f, "");
    ck_assert_msg(train(&f)->status == TRIB_OK, "%s", f.event->reason);
    const struct trib_client_update *update = &f.event->is.update;
    ck_assert_uint_eq(update->result.examples, ROWS);
    ck_assert_uint_eq(update->result.steps, 2 * ROWS / 10);
    ck_assert_double_lt(update->result.mean_loss, 1.0);
    uint8_t digest[32];
    ck_assert_int_eq(trib_sha256(trib_blob_data(update->frame), trib_blob_len(update->frame), digest), TRIB_OK);
    ck_assert_mem_eq(digest, update->sha256, sizeof digest);
    /* the update is an update of this schema, its norm is the one that is told, and it moves the model */
    float *delta = trib_calloc(f.schema.n_floats, sizeof *delta);
    const struct trib_frame_source source = trib_frame_source_memory(update->frame);
    const struct trib_frame_expect expect = {
        .kind = TRIB_FRAME_UPDATE, .schema = f.schema.hash, .n_elements = f.schema.n_floats};
    ck_assert_int_eq(trib_frame_decode(&source, &expect, delta, f.schema.n_floats, NULL), TRIB_OK);
    double sum = 0;
    for (size_t i = 0; i < f.schema.n_floats; i++) {
        sum += (double)delta[i] * (double)delta[i];
        f.model[i] += delta[i];
    }
    trib_free(delta);
    ck_assert_double_eq_tol(sqrt(sum), update->norm, 1e-9);
    ck_assert_double_gt(update->norm, 0.1);
    double first_loss = update->result.first_loss;
    f.task.round = 2;
    ck_assert_int_eq(train(&f)->status, TRIB_OK); /* from the moved model, on the cached trainer */
    ck_assert_double_lt(f.event->is.update.result.first_loss, first_loss);
    teardown(&f);
}
END_TEST

START_TEST(the_same_task_gives_the_same_bytes)
{
    struct fixture f;
    setup(&f, "");
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    uint8_t first[32];
    memcpy(first, f.event->is.update.sha256, sizeof first);
    trib_worker_release(f.worker);
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert_mem_eq(f.event->is.update.sha256, first, sizeof first);
    f.task.seed = 6;
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert_mem_ne(f.event->is.update.sha256, first, sizeof first);
    teardown(&f);
}
END_TEST

START_TEST(half_precision_works_in_both_directions)
{
    struct fixture f;
    setup(&f, "");
    f.task.codec = chain_of("f16");
    train_from(&f, received(&f, TRIB_FRAME_MODEL, f.schema.hash, f.schema.n_floats, "f16"));
    ck_assert_msg(f.event->status == TRIB_OK, "%s", f.event->reason);
    teardown(&f);
}
END_TEST

/* ---- the model that is held between tasks ---- */

/* The next version of the model by a delta, and the task that tells of it; the client gets the delta alone. */
static struct trib_session_event *train_by_delta(struct fixture *f, bool bent)
{
    size_t n = f->schema.n_floats;
    struct trib_blob *delta = NULL, *whole = NULL;
    float *values = trib_calloc(n, sizeof *values);
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)i / 64 - 0.1F;
    }
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "sign", 3, f->schema.hash, values, n, &delta, NULL), TRIB_OK);
    const struct trib_frame_source source = trib_frame_source_memory(delta);
    ck_assert_int_eq(trib_frame_decode(&source, NULL, values, n, NULL), TRIB_OK);
    for (size_t i = 0; i < n; i++) {
        f->model[i] += values[i];
    }
    ck_assert_int_eq(encode_frame(TRIB_FRAME_MODEL, "f32", 0, f->schema.hash, f->model, n, &whole, NULL), TRIB_OK);
    ck_assert_int_eq(trib_sha256(trib_blob_data(whole), trib_blob_len(whole), f->task.model_sha256), TRIB_OK);
    f->task.model_len = trib_blob_len(whole);
    f->task.deltas[0].from_version = f->task.model_version++;
    f->task.deltas[0].len = trib_blob_len(delta);
    f->task.n_deltas = 1;
    if (bent) {
        trib_blob_fill(delta)[trib_blob_len(delta) - 9] ^= 1;
    }
    struct trib_model_delivery delivery = {.route = {.way = TRIB_MODEL_CHAIN, .n_blobs = 1}, .n_spools = 1};
    delivery.spools[0] = trib_model_spool_adopt(delta);
    ck_assert_int_eq(trib_worker_train(f->worker, 5, &f->task, &delivery, NULL), TRIB_OK);
    trib_blob_unref(whole);
    trib_free(values);
    return await(f, TRIB_SESSION_TRAINED);
}

static struct trib_session_event *train_held(struct fixture *f)
{
    struct trib_model_delivery none = {.route = {.way = TRIB_MODEL_HELD}};
    ck_assert_int_eq(trib_worker_train(f->worker, 6, &f->task, &none, NULL), TRIB_OK);
    return await(f, TRIB_SESSION_TRAINED);
}

START_TEST(a_delta_is_as_good_as_the_whole_model)
{
    struct fixture f;
    uint8_t by_delta[32];
    setup(&f, "");
    f.task.model_version = 0;
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert_str_eq(f.event->held.run, f.task.run);
    ck_assert_msg(train_by_delta(&f, false)->status == TRIB_OK, "%s", f.event->reason);
    ck_assert_uint_eq(f.event->held.version, 1);
    ck_assert_mem_eq(f.event->held.sha256, f.task.model_sha256, 32);
    memcpy(by_delta, f.event->is.update.sha256, sizeof by_delta);
    trib_worker_release(f.worker); /* what is held stays */
    ck_assert_int_eq(train_held(&f)->status, TRIB_OK);
    ck_assert_mem_eq(f.event->is.update.sha256, by_delta, sizeof by_delta);
    trib_worker_drop_model(f.worker);
    ck_assert_int_eq(train_held(&f)->status, TRIB_NOT_FOUND);
    ck_assert(f.event->model_unusable);
    ck_assert_str_eq(f.event->held.run, "");
    ck_assert_int_eq(train(&f)->status, TRIB_OK); /* the whole one leads to the same update */
    ck_assert_mem_eq(f.event->is.update.sha256, by_delta, sizeof by_delta);
    teardown(&f);
}
END_TEST

START_TEST(a_wrong_delta_is_told_and_never_trained_on)
{
    struct fixture f;
    setup(&f, "");
    f.task.model_version = 0;
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert_int_ne(train_by_delta(&f, true)->status, TRIB_OK);
    ck_assert(f.event->model_unusable);
    ck_assert_uint_eq(f.event->held.version, 0); /* as before */
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.event->held.version, 1);
    teardown(&f);
}
END_TEST

/* Whoever sends whole models only is no reason to hold one; nor is there always room. */
START_TEST(a_model_is_held_when_it_helps_and_fits)
{
    struct fixture f;
    setup(&f, "");
    f.task.model_version = 4;
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert_str_eq(f.event->held.run, "");
    f.task.has_initialisation = true;
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.event->held.version, 4);
    teardown(&f);
    bool seen_held = false, seen_trained = false;
    for (int bytes = 600; !seen_held; bytes += 20) {
        char limits[64];
        snprintf(limits, sizeof limits, "limits: {max_memory: %d}\n", bytes);
        setup(&f, limits);
        f.task.has_initialisation = true;
        train(&f);
        bool trained = f.event->status == TRIB_OK;
        seen_held = trained && f.event->held.run[0] != '\0';
        seen_trained = seen_trained || (trained && !seen_held);
        ck_assert(trained || !seen_trained); /* holding takes no training away */
        teardown(&f);
    }
    ck_assert(seen_trained);
}
END_TEST

/* ---- error feedback ---- */

/* Train; the update as the server decodes it. */
static void train_and_decode(struct fixture *f, uint64_t round, uint64_t folded_round, float *to)
{
    f->task.round = round;
    f->task.folded_round = folded_round;
    ck_assert_msg(train(f)->status == TRIB_OK, "%s", f->event->reason);
    const struct trib_frame_source source = trib_frame_source_memory(f->event->is.update.frame);
    ck_assert_int_eq(trib_frame_decode(&source, NULL, to, f->schema.n_floats, NULL), TRIB_OK);
}

/* The task stays the same, and so does its delta d: with topk:1/15 one value at a time is sent, and the largest of
 * d, then of 2d without what was sent, and so on. */
static void feed_back(struct fixture *f, bool restarts)
{
    enum { MOST = 64 };
    const size_t n = f->schema.n_floats;
    float delta[MOST], left[MOST] = {0}, sent[MOST];
    uint64_t folded_round = 0;
    ck_assert_uint_le(n, MOST);
    (void)trib_str_copy(f->task.run, sizeof f->task.run, "run-a");
    train_and_decode(f, 1, 0, delta);
    ck_assert_int_eq(trib_feedback_read("ef", 0, &f->task.feedback, NULL), TRIB_OK);
    f->task.codec = chain_of("topk:1/100|f32");
    for (uint64_t round = 2; round < 10; round++) {
        double sum = 0;
        size_t largest = 0, count = 0;
        train_and_decode(f, round, folded_round, sent);
        float x[MOST];
        for (size_t i = 0; i < n; i++) {
            x[i] = delta[i] + left[i];
            sum += (double)x[i] * (double)x[i];
            largest = fabsf(x[i]) > fabsf(x[largest]) ? i : largest;
            count += sent[i] != 0;
        }
        ck_assert_uint_eq(count, 1);
        ck_assert_float_eq(sent[largest], x[largest]);
        ck_assert_double_eq_tol(f->event->is.update.norm, sqrt(sum), 1e-9);
        ck_assert_uint_eq(f->event->is.update.feedback_round, 0);
        if (round % 3 != 0) { /* folded: told by the outcome, or by the next task alone */
            if (round % 3 == 1) {
                trib_worker_settle(f->worker, "run-a", round, true);
            }
            folded_round = round;
            memcpy(left, x, sizeof left);
            left[largest] = 0;
        } else {
            trib_worker_settle(f->worker, "run-a", round, false);
        }
        if (restarts) {
            restart_worker(f);
        }
    }
}

START_TEST(what_was_left_out_is_sent_later)
{
    struct fixture f;
    setup(&f, "");
    feed_back(&f, false);
    teardown(&f);
}
END_TEST

START_TEST(what_was_left_out_outlives_a_restart)
{
    struct fixture f;
    char more[96], path[96];
    setup_files(&f, "", "");
    trib_client_settings_clear(&f.settings);
    snprintf(more, sizeof more, "state_dir: %s\n", f.dir);
    load_settings(&f, more);
    make_task(&f, FEATURES);
    start_worker(&f);
    ck_assert_int_eq(await(&f, TRIB_SESSION_DATA)->status, TRIB_OK);
    feed_back(&f, true);
    static const char *const names[] = {"feedback", "feedback.pending", "model.frame", "update"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", f.dir, names[i]);
        (void)unlink(path);
    }
    teardown(&f);
}
END_TEST

START_TEST(ef21_tells_from_which_round_it_goes_on)
{
    struct fixture f;
    float first[64], second[64];
    setup(&f, "");
    ck_assert_int_eq(trib_feedback_read("ef21", 0, &f.task.feedback, NULL), TRIB_OK);
    train_and_decode(&f, 4, 0, first);
    ck_assert_uint_eq(f.event->is.update.feedback_round, 0);
    train_and_decode(&f, 5, 4, second); /* the same delta again: nothing to add */
    ck_assert_uint_eq(f.event->is.update.feedback_round, 4);
    for (size_t i = 0; i < f.schema.n_floats; i++) {
        ck_assert_float_eq(second[i], 0);
    }
    train_and_decode(&f, 6, 0, second); /* the server has lost it all */
    ck_assert_uint_eq(f.event->is.update.feedback_round, 0);
    ck_assert_mem_eq(first, second, f.schema.n_floats * sizeof(float));
    teardown(&f);
}
END_TEST

/* ---- sketches ---- */

/* The sketch is of what was decoded and, where that is 0, of the vector that was coded. */
static void check_sketch(const struct fixture *f, const float *coded, const float *decoded)
{
    const size_t n = f->schema.n_floats;
    const struct trib_client_update *update = &f->event->is.update;
    const struct trib_sketch_plan plan = trib_sketch_plan(f->task.run, f->task.round, f->task.sketch_positions, n);
    ck_assert_ptr_nonnull(update->sketch);
    ck_assert_uint_eq(trib_blob_len(update->sketch), trib_sketch_bytes(plan.k));
    const uint8_t *packed = trib_blob_data(update->sketch);
    for (uint64_t i = 0; i < plan.k; i++) {
        uint64_t at = trib_sketch_position(&plan, i);
        bool expected = (decoded[at] == 0 ? coded[at] : decoded[at]) > 0;
        ck_assert_msg((packed[i / 8] >> (i % 8) & 1) == expected, "position %d", (int)at);
    }
    ck_assert_uint_eq(trib_sketch_contradictions(&plan, packed, 0, decoded, n), 0);
}

START_TEST(an_update_brings_the_sketch_that_was_asked_for)
{
    static const char *const codecs[] = {"f32", "topk:1/5|f32", "rotate|uniform:2|range", "sign"};
    static const uint64_t positions[] = {1, 5, 14, 15, 1000000};
    struct fixture f;
    float delta[64], decoded[64];
    setup(&f, "");
    train_and_decode(&f, 1, 0, delta);
    ck_assert_ptr_null(f.event->is.update.sketch); /* nobody asked */
    for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
        for (size_t p = 0; p < sizeof positions / sizeof positions[0]; p++) {
            f.task.codec = chain_of(codecs[c]);
            f.task.sketch_positions = positions[p];
            train_and_decode(&f, p + 1, 0, decoded);
            check_sketch(&f, delta, decoded);
        }
    }
    teardown(&f);
}
END_TEST

/* With error feedback the signs are of what it adds up to, and a skipped round changes nothing. */
START_TEST(a_sketch_shows_what_error_feedback_makes_of_the_update)
{
    struct fixture f;
    float delta[64], coded[64], decoded[64];
    setup(&f, "");
    train_and_decode(&f, 1, 0, delta);
    memcpy(coded, delta, sizeof coded);
    ck_assert_int_eq(trib_feedback_read("ef", 0, &f.task.feedback, NULL), TRIB_OK);
    f.task.codec = chain_of("topk:1/5|f32");
    f.task.sketch_positions = f.schema.n_floats;
    uint64_t folded_round = 0;
    for (uint64_t round = 2; round < 9; round++) {
        train_and_decode(&f, round, folded_round, decoded);
        check_sketch(&f, coded, decoded);
        bool skipped = round % 2 == 0;
        trib_worker_settle(f.worker, f.task.run, round, !skipped);
        for (size_t i = 0; !skipped && i < f.schema.n_floats; i++) {
            coded[i] = delta[i] + (coded[i] - decoded[i]);
        }
        folded_round = skipped ? folded_round : round;
    }
    teardown(&f);
}
END_TEST

/* Does it train with so many bytes? */
static bool trains_within(int bytes, uint64_t positions)
{
    struct fixture f;
    char limits[64];
    snprintf(limits, sizeof limits, "limits: {max_memory: %d}\n", bytes);
    setup(&f, limits);
    f.task.sketch_positions = positions;
    bool trained = train(&f)->status == TRIB_OK;
    ck_assert(trained || f.event->status == TRIB_LIMIT);
    teardown(&f);
    return trained;
}

START_TEST(the_owners_memory_limit_counts_the_sketch)
{
    int too_little = 600, enough = 1 << 20;
    while (enough - too_little > 1) {
        int middle = (too_little + enough) / 2;
        *(trains_within(middle, 0) ? &enough : &too_little) = middle;
    }
    ck_assert(!trains_within(enough, 15)); /* a byte a position, and the 2 bytes that they are packed into */
    ck_assert(!trains_within(enough + 16, 15));
    ck_assert(trains_within(enough + 17, 15));
}
END_TEST

static void fails(struct fixture *f, enum trib_status status, const char *reason)
{
    ck_assert_msg(f->event->status == status, "%s: %s", trib_status_name(f->event->status), f->event->reason);
    ck_assert_msg(strstr(f->event->reason, reason), "no \"%s\" in: %s", reason, f->event->reason);
    ck_assert_ptr_null(f->event->is.update.frame);
}

START_TEST(models_that_do_not_fit_are_refused)
{
    struct fixture f;
    uint8_t other[32] = {1};
    setup(&f, "");
    train_from(&f, received(&f, TRIB_FRAME_MODEL, other, f.schema.n_floats, "f32"));
    fails(&f, TRIB_MISMATCH, "schema");
    train_from(&f, received(&f, TRIB_FRAME_UPDATE, f.schema.hash, f.schema.n_floats, "f32"));
    fails(&f, TRIB_MISMATCH, "");
    train_from(&f, received(&f, TRIB_FRAME_MODEL, f.schema.hash, f.schema.n_floats - 1, "f32"));
    fails(&f, TRIB_MISMATCH, "values");
    struct trib_model_spool *bent = received(&f, TRIB_FRAME_MODEL, f.schema.hash, f.schema.n_floats, "f32");
    ck_assert_int_eq(trib_model_spool_write(bent, 130, "\x11", 1, NULL), TRIB_OK);
    train_from(&f, bent);
    fails(&f, TRIB_CORRUPT, "CRC");
    ck_assert_int_eq(train(&f)->status, TRIB_OK); /* and a good one still works */
    teardown(&f);
}
END_TEST

START_TEST(a_plan_that_does_not_fit_the_data_is_refused_with_both_shapes)
{
    struct fixture f;
    setup_files(&f, "", "");
    make_task(&f, FEATURES + 1);
    start_worker(&f);
    ck_assert_int_eq(await(&f, TRIB_SESSION_DATA)->status, TRIB_OK);
    train(&f);
    fails(&f, TRIB_MISMATCH, "4");
    ck_assert_ptr_nonnull(strstr(f.event->reason, "5"));
    teardown(&f);
}
END_TEST

START_TEST(a_plan_that_is_no_graph_is_refused)
{
    struct fixture f;
    setup(&f, "");
    trib_blob_unref(f.task.graph);
    f.task.graph = trib_blob_copy("\xff\xff", 2);
    f.task.graph_sha256[0] ^= 1;
    train(&f);
    fails(&f, TRIB_PROTOCOL, "");
    teardown(&f);
}
END_TEST

START_TEST(training_that_runs_away_is_refused)
{
    struct fixture f;
    setup(&f, "");
    for (size_t i = 0; i < f.schema.n_floats; i++) {
        f.model[i] = i % 2 == 0 ? 3e38f : -3e38f; /* finite, but their sums are not */
    }
    train(&f);
    fails(&f, TRIB_NOT_FINITE, "");
    teardown(&f);
}
END_TEST

START_TEST(the_owners_limits_hold)
{
    struct fixture f;
    setup(&f, "limits: {max_epochs: 1}\n");
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.event->is.update.result.steps, ROWS / 10);
    ck_assert(f.event->is.update.result.stopped_early);
    teardown(&f);
    setup(&f, "limits: {max_memory: 600}\n");
    train(&f);
    fails(&f, TRIB_LIMIT, "");
    teardown(&f);
}
END_TEST

/* A limit of time stops within an epoch, after one step at least; what was done until then is offered. */
START_TEST(a_limit_of_time_gives_a_part_of_the_work)
{
    struct fixture f;
    setup(&f, "limits: {max_seconds: 1ms}\n");
    f.task.recipe.epochs = 100000;
    ck_assert_msg(train(&f)->status == TRIB_OK, "%s", f.event->reason);
    const struct trib_client_update *update = &f.event->is.update;
    const struct trib_train_result *result = &update->result;
    ck_assert(result->stopped_early);
    ck_assert_uint_ge(result->steps, 1);
    ck_assert_uint_lt(result->steps, UINT64_C(100000) * (ROWS / 10));
    ck_assert_uint_eq(result->examples_seen, 10 * result->steps);
    ck_assert_uint_eq(result->examples, ROWS);
    ck_assert(isfinite(result->first_loss) && result->first_loss > 0 && result->first_loss < 5);
    ck_assert(isfinite(result->mean_loss) && result->mean_loss > 0 && result->mean_loss <= result->first_loss);
    ck_assert(result->accuracy >= 0 && result->accuracy <= 1);
    ck_assert_double_gt(update->norm, 0);
    ck_assert_ptr_nonnull(update->frame);
    teardown(&f);
}
END_TEST

/* The same with the recipe's own end: exactly so many steps, of which the last lie in a second epoch. */
START_TEST(a_part_of_an_epoch_is_counted_as_such)
{
    struct fixture f;
    setup(&f, "");
    f.task.recipe.epochs = 3;
    f.task.recipe.max_steps = 15; /* of 12 in an epoch */
    ck_assert_msg(train(&f)->status == TRIB_OK, "%s", f.event->reason);
    const struct trib_train_result *result = &f.event->is.update.result;
    ck_assert_uint_eq(result->steps, 15);
    ck_assert_uint_eq(result->examples_seen, 150);
    ck_assert(!result->stopped_early); /* it is all that was asked for */
    ck_assert(isfinite(result->mean_loss) && result->mean_loss < result->first_loss);
    teardown(&f);
}
END_TEST

START_TEST(a_cancelled_training_ends)
{
    struct fixture f;
    setup(&f, "");
    f.task.recipe.epochs = 100000;
    begin(&f, 3, received(&f, TRIB_FRAME_MODEL, f.schema.hash, f.schema.n_floats, "f32"));
    begin(&f, 4, received(&f, TRIB_FRAME_MODEL, f.schema.hash, f.schema.n_floats, "f32"));
    trib_worker_cancel(f.worker);
    ck_assert_uint_eq(await(&f, TRIB_SESSION_TRAINED)->job, 3);
    fails(&f, TRIB_CANCELLED, "");
    ck_assert_uint_eq(await(&f, TRIB_SESSION_TRAINED)->job, 4);
    fails(&f, TRIB_CANCELLED, "");
    f.task.recipe.epochs = 1;
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    teardown(&f);
}
END_TEST

START_TEST(a_worker_may_be_freed_in_the_middle)
{
    struct fixture f;
    setup(&f, "");
    f.task.recipe.epochs = 100000;
    begin(&f, 3, received(&f, TRIB_FRAME_MODEL, f.schema.hash, f.schema.n_floats, "f32"));
    trib_worker_free(f.worker);
    f.worker = NULL;
    trib_session_event_free(f.event);
    f.event = trib_session_event_pop(&f.events);
    if (f.event) { /* it had begun */
        ck_assert_int_eq(f.event->kind, TRIB_SESSION_TRAINED);
        ck_assert_uint_eq(f.event->job, 3);
        fails(&f, TRIB_CANCELLED, "");
    }
    ck_assert_ptr_null(trib_session_event_pop(&f.events));
    teardown(&f);
}
END_TEST

START_TEST(only_the_clients_part_is_kept)
{
    struct fixture f;
    setup(&f, "  partition: iid\n  clients: 10\n  client: 3\n");
    ck_assert_uint_eq(f.event->is.examples, ROWS / 10);
    ck_assert_int_eq(train(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.event->is.update.result.examples, ROWS / 10);
    teardown(&f);
}
END_TEST

START_TEST(unusable_data_are_told_with_file_and_place)
{
    struct fixture f;
    setup_files(&f, "1,2,3,x,0\n", "");
    start_worker(&f);
    await(&f, TRIB_SESSION_DATA);
    ck_assert_int_ne(f.event->status, TRIB_OK);
    ck_assert_msg(strstr(f.event->reason, "data.csv"), "%s", f.event->reason);
    ck_assert_msg(strstr(f.event->reason, "122"), "%s", f.event->reason); /* the line */
    teardown(&f);
    setup_files(&f, "", "  partition: \"shards:0\"\n  clients: 2\n");
    start_worker(&f);
    ck_assert_int_ne(await(&f, TRIB_SESSION_DATA)->status, TRIB_OK);
    ck_assert_msg(strstr(f.event->reason, "shards"), "%s", f.event->reason);
    teardown(&f);
    setup_files(&f, "", "  classes: 2\n");
    start_worker(&f);
    ck_assert_int_ne(await(&f, TRIB_SESSION_DATA)->status, TRIB_OK);
    ck_assert_msg(strstr(f.event->reason, "label 2"), "%s", f.event->reason);
    teardown(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker");
    TCase *tests = tcase_create("worker");
    tcase_add_test(tests, training_gives_an_update_that_helps);
    tcase_add_test(tests, the_same_task_gives_the_same_bytes);
    tcase_add_test(tests, half_precision_works_in_both_directions);
    tcase_add_test(tests, a_delta_is_as_good_as_the_whole_model);
    tcase_add_test(tests, a_wrong_delta_is_told_and_never_trained_on);
    tcase_add_test(tests, a_model_is_held_when_it_helps_and_fits);
    tcase_add_test(tests, what_was_left_out_is_sent_later);
    tcase_add_test(tests, what_was_left_out_outlives_a_restart);
    tcase_add_test(tests, ef21_tells_from_which_round_it_goes_on);
    tcase_add_test(tests, an_update_brings_the_sketch_that_was_asked_for);
    tcase_add_test(tests, a_sketch_shows_what_error_feedback_makes_of_the_update);
    tcase_add_test(tests, the_owners_memory_limit_counts_the_sketch);
    tcase_add_test(tests, models_that_do_not_fit_are_refused);
    tcase_add_test(tests, a_plan_that_does_not_fit_the_data_is_refused_with_both_shapes);
    tcase_add_test(tests, a_plan_that_is_no_graph_is_refused);
    tcase_add_test(tests, training_that_runs_away_is_refused);
    tcase_add_test(tests, the_owners_limits_hold);
    tcase_add_test(tests, a_limit_of_time_gives_a_part_of_the_work);
    tcase_add_test(tests, a_part_of_an_epoch_is_counted_as_such);
    tcase_add_test(tests, a_cancelled_training_ends);
    tcase_add_test(tests, a_worker_may_be_freed_in_the_middle);
    tcase_add_test(tests, only_the_clients_part_is_kept);
    tcase_add_test(tests, unusable_data_are_told_with_file_and_place);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
