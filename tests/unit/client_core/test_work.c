/* The work alone: what becomes of a task in each phase. */
#include "../../../client/core/work.h"
#include "crypto/hash.h"
#include "machine_fixture.h"

enum { MODEL_LEN = 1000, FRAME_LEN = 5000, CHUNK = 65536, PHASES = TRIB_WORK_WAITING + 1 };
#define RUN "run-1"

struct fixture {
    struct machine_turn t;
    struct trib_work *work;
    uint64_t round; /* of the next task */
    uint32_t deadline;
    struct trib_work_verdict verdict; /* the last one */
};

static char *text_of(const char *text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text};
    return cast.out;
}

/* ---- what happens ---- */

static void task(struct fixture *f)
{
    uint8_t model_sha[32], graph[] = {1, 2, 3}, graph_sha[32];
    memset(model_sha, 7, sizeof model_sha);
    ck_assert_int_eq(trib_sha256(graph, sizeof graph, graph_sha), TRIB_OK);
    Tributary__V1__Blob model = TRIBUTARY__V1__BLOB__INIT;
    model.sha256 = (ProtobufCBinaryData){.data = model_sha, .len = sizeof model_sha};
    model.len = MODEL_LEN;
    Tributary__V1__Recipe recipe = TRIBUTARY__V1__RECIPE__INIT;
    recipe.loss = text_of("cross_entropy");
    recipe.optimizer = text_of("sgd");
    recipe.epochs = 1;
    recipe.batch_size = 32;
    recipe.learning_rate = 0.1f;
    Tributary__V1__Task message = TRIBUTARY__V1__TASK__INIT;
    message.run = text_of(RUN);
    message.round = f->round;
    message.model = &model;
    message.plan_sha256 = (ProtobufCBinaryData){.data = graph_sha, .len = sizeof graph_sha};
    message.graph = (ProtobufCBinaryData){.data = graph, .len = sizeof graph};
    message.recipe = &recipe;
    message.codec = text_of("f32");
    message.seed = 42;
    message.feedback = text_of("ef");
    message.deadline_seconds = f->deadline;
    f->verdict = trib_work_on_task(f->work, &f->t.turn, &message);
}

static void next_task(struct fixture *f)
{
    f->round++;
    task(f);
}

static void earlier_task(struct fixture *f)
{
    f->round--;
    task(f);
}

static void decide(struct fixture *f, Tributary__V1__Decision__Kind kind, uint64_t offset)
{
    Tributary__V1__Decision message = TRIBUTARY__V1__DECISION__INIT;
    message.round = f->round;
    message.kind = kind;
    message.offset = offset;
    f->verdict = trib_work_on_decision(f->work, &f->t.turn, &message);
}

static void asked_for(struct fixture *f)
{
    decide(f, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 100);
}

static void asked_for_nothing_more(struct fixture *f)
{
    decide(f, TRIBUTARY__V1__DECISION__KIND__UPLOAD, FRAME_LEN);
}

static void asked_for_too_much(struct fixture *f)
{
    decide(f, TRIBUTARY__V1__DECISION__KIND__UPLOAD, FRAME_LEN + 1);
}

static void skipped(struct fixture *f)
{
    decide(f, TRIBUTARY__V1__DECISION__KIND__SKIP, 0);
}

static void outcome(struct fixture *f, Tributary__V1__Outcome__Kind kind, uint64_t round)
{
    Tributary__V1__Outcome message = TRIBUTARY__V1__OUTCOME__INIT;
    message.round = round;
    message.kind = kind;
    trib_work_on_outcome(f->work, &f->t.turn, &message);
}

static void folded(struct fixture *f)
{
    outcome(f, TRIBUTARY__V1__OUTCOME__KIND__FOLDED, f->round);
}

static void late(struct fixture *f)
{
    outcome(f, TRIBUTARY__V1__OUTCOME__KIND__LATE, f->round);
}

static void outcome_of_another(struct fixture *f)
{
    outcome(f, TRIBUTARY__V1__OUTCOME__KIND__FOLDED, f->round + 1);
}

static void download_ends(struct fixture *f, enum trib_status status)
{
    const struct trib_session_event event = {.job = f->t.job, .status = status, .is.received = 0};
    trib_work_on_downloaded(f->work, &f->t.turn, &event);
}

static void downloaded(struct fixture *f)
{
    download_ends(f, TRIB_OK);
}

static void not_downloaded(struct fixture *f)
{
    download_ends(f, TRIB_NOT_FOUND);
}

static void training_ends(struct fixture *f, uint64_t job, enum trib_status status)
{
    struct trib_session_event event = {.job = job, .status = status, .saved = status == TRIB_OK};
    if (status == TRIB_OK) {
        event.is.update.frame = trib_blob_new(FRAME_LEN);
        memset(trib_blob_fill(event.is.update.frame), 1, FRAME_LEN);
    }
    trib_work_on_trained(f->work, &f->t.turn, &event);
    trib_client_update_clear(&event.is.update);
}

static void trained(struct fixture *f)
{
    training_ends(f, f->t.job, TRIB_OK);
}

static void trained_for_another(struct fixture *f)
{
    training_ends(f, f->t.job + 1, TRIB_OK);
}

static void not_trained(struct fixture *f)
{
    training_ends(f, f->t.job, TRIB_NOT_FINITE);
}

static void upload_ends(struct fixture *f, enum trib_status status, bool accepted)
{
    const struct trib_session_event event = {
        .job = f->t.job,
        .status = status,
        .is.receipt = {.accepted = accepted, .status = accepted ? TRIB_OK : TRIB_NOT_FOUND}};
    trib_work_on_uploaded(f->work, &f->t.turn, &event);
}

static void uploaded(struct fixture *f)
{
    upload_ends(f, TRIB_OK, true);
}

static void refused(struct fixture *f)
{
    upload_ends(f, TRIB_OK, false);
}

static void upload_broken(struct fixture *f)
{
    upload_ends(f, TRIB_UNAVAILABLE, false);
}

static void offline(struct fixture *f)
{
    trib_work_offline(f->work, &f->t.turn);
}

static void same_run(struct fixture *f)
{
    trib_work_welcome(f->work, &f->t.turn, RUN, CHUNK);
}

static void another_run(struct fixture *f)
{
    trib_work_welcome(f->work, &f->t.turn, "run-2", CHUNK);
}

static void end(struct fixture *f)
{
    trib_work_end(f->work, &f->t.turn);
}

static void leave(struct fixture *f)
{
    trib_work_leave(f->work, &f->t.turn);
}

/* ---- the table ---- */

static void set_up(struct fixture *f)
{
    const struct trib_held_model none = {.run = ""};
    *f = (struct fixture){.round = 5};
    turn_init(&f->t);
    f->work = trib_work_new(&none, NULL, 0);
    ck_assert_ptr_nonnull(f->work);
    same_run(f);
}

static void bring_to(struct fixture *f, enum trib_work_phase phase)
{
    set_up(f);
    if (phase >= TRIB_WORK_DOWNLOADING) {
        task(f);
        ck_assert_str_eq(did(&f->t), "D");
        ck_assert(f->verdict.begun && trib_work_is_confirmed(f->work));
    }
    if (phase >= TRIB_WORK_TRAINING) {
        downloaded(f);
        ck_assert_str_eq(did(&f->t), "T");
    }
    if (phase >= TRIB_WORK_READY) {
        trained(f);
        ck_assert_str_eq(did(&f->t), "S");
    }
    if (phase == TRIB_WORK_READY) {
        offline(f);
    }
    if (phase >= TRIB_WORK_UPLOADING) {
        asked_for(f);
        ck_assert_str_eq(did(&f->t), "U");
        ck_assert_uint_eq(f->t.offset, 100);
    }
    if (phase >= TRIB_WORK_WAITING) {
        uploaded(f);
        ck_assert_str_eq(did(&f->t), "");
    }
    ck_assert_int_eq(trib_work_phase(f->work), phase);
}

enum {
    NON = TRIB_WORK_NONE,
    DOW = TRIB_WORK_DOWNLOADING,
    TRA = TRIB_WORK_TRAINING,
    REA = TRIB_WORK_READY,
    OFF = TRIB_WORK_OFFERED,
    UPL = TRIB_WORK_UPLOADING,
    WAI = TRIB_WORK_WAITING
};
static const struct {
    const char *what;
    void (*event)(struct fixture *f);
    struct {
        int phase;       /* afterwards */
        const char *did; /* in the turn */
        char verdict;    /* i: ignored, !: a breach, b: a part begins */
    } then[PHASES];      /* by the phase before; READY without a connection, all others with one */
} rows[] = {
    {"task, the same",
     task,
     {{DOW, "D", 'b'},
      {DOW, "", 'i'},
      {TRA, "", 'i'},
      {OFF, "S", 'b'},
      {OFF, "", 'i'},
      {UPL, "", 'i'},
      {WAI, "", 'i'}}},
    {"task, the next",
     next_task,
     {{DOW, "D", 'b'},
      {DOW, "wD", 'b'},
      {DOW, "wD", 'b'},
      {DOW, "fD", 'b'},
      {DOW, "fD", 'b'},
      {DOW, "fwD", 'b'},
      {DOW, "fD", 'b'}}},
    {"task, an earlier one",
     earlier_task,
     {{DOW, "D", 'b'},
      {DOW, "", 'i'},
      {TRA, "", 'i'},
      {DOW, "fD", 'b'},
      {OFF, "", 'i'},
      {UPL, "", 'i'},
      {WAI, "", 'i'}}},
    {"asked for",
     asked_for,
     {{NON, "", 'i'}, {DOW, "", 'i'}, {TRA, "", 'i'}, {REA, "", 'i'}, {UPL, "U", 'b'}, {UPL, "", 'i'}, {WAI, "", 'i'}}},
    {"asked for nothing more",
     asked_for_nothing_more,
     {{NON, "", 'i'}, {DOW, "", 'i'}, {TRA, "", 'i'}, {REA, "", 'i'}, {WAI, "", 0}, {UPL, "", 'i'}, {WAI, "", 'i'}}},
    {"asked for too much",
     asked_for_too_much,
     {{NON, "", 'i'}, {DOW, "", 'i'}, {TRA, "", 'i'}, {REA, "", 'i'}, {OFF, "", '!'}, {UPL, "", 'i'}, {WAI, "", 'i'}}},
    {"skipped",
     skipped,
     {{NON, "", 'i'}, {DOW, "", 'i'}, {TRA, "", 'i'}, {NON, "f", 0}, {NON, "f", 0}, {UPL, "", 'i'}, {WAI, "", 'i'}}},
    {"folded",
     folded,
     {{NON, "", 0}, {NON, "sw", 0}, {NON, "sw", 0}, {NON, "fs", 0}, {NON, "fs", 0}, {NON, "fsw", 0}, {NON, "fs", 0}}},
    {"late",
     late,
     {{NON, "", 0}, {NON, "w", 0}, {NON, "w", 0}, {NON, "f", 0}, {NON, "f", 0}, {NON, "fw", 0}, {NON, "f", 0}}},
    {"outcome of another round",
     outcome_of_another,
     {{NON, "", 0}, {DOW, "", 0}, {TRA, "", 0}, {REA, "", 0}, {OFF, "", 0}, {UPL, "", 0}, {WAI, "", 0}}},
    {"downloaded",
     downloaded,
     {{NON, "", 0}, {TRA, "T", 0}, {TRA, "", 0}, {REA, "", 0}, {OFF, "", 0}, {UPL, "", 0}, {WAI, "", 0}}},
    {"not downloaded",
     not_downloaded,
     {{NON, "", 0}, {NON, "Sw", 0}, {TRA, "", 0}, {REA, "", 0}, {OFF, "", 0}, {UPL, "", 0}, {WAI, "", 0}}},
    {"trained",
     trained,
     {{NON, "f", 0}, {DOW, "f", 0}, {OFF, "S", 0}, {REA, "f", 0}, {OFF, "f", 0}, {UPL, "f", 0}, {WAI, "f", 0}}},
    {"trained for another",
     trained_for_another,
     {{NON, "f", 0}, {DOW, "f", 0}, {TRA, "f", 0}, {REA, "f", 0}, {OFF, "f", 0}, {UPL, "f", 0}, {WAI, "f", 0}}},
    {"not trained",
     not_trained,
     {{NON, "", 0}, {DOW, "", 0}, {NON, "S", 0}, {REA, "", 0}, {OFF, "", 0}, {UPL, "", 0}, {WAI, "", 0}}},
    {"uploaded",
     uploaded,
     {{NON, "", 0}, {DOW, "", 0}, {TRA, "", 0}, {REA, "", 0}, {OFF, "", 0}, {WAI, "", 0}, {WAI, "", 0}}},
    {"refused",
     refused,
     {{NON, "", 0}, {DOW, "", 0}, {TRA, "", 0}, {REA, "", 0}, {OFF, "", 0}, {WAI, "", 0}, {WAI, "", 0}}},
    {"upload broken",
     upload_broken,
     {{NON, "", 0}, {DOW, "", 0}, {TRA, "", 0}, {REA, "", 0}, {OFF, "", 0}, {REA, "", 0}, {WAI, "", 0}}},
    {"offline",
     offline,
     {{NON, "", 0}, {DOW, "t", 0}, {TRA, "", 0}, {REA, "", 0}, {REA, "", 0}, {REA, "t", 0}, {REA, "", 0}}},
    {"welcome to the same run",
     same_run,
     {{NON, "", 0}, {DOW, "", 0}, {TRA, "", 0}, {REA, "", 0}, {OFF, "", 0}, {UPL, "", 0}, {WAI, "", 0}}},
    {"welcome to another run",
     another_run,
     {{NON, "", 0}, {NON, "w", 0}, {NON, "w", 0}, {NON, "f", 0}, {NON, "f", 0}, {NON, "fw", 0}, {NON, "f", 0}}},
    {"end",
     end,
     {{NON, "", 0}, {NON, "w", 0}, {NON, "w", 0}, {NON, "f", 0}, {NON, "f", 0}, {NON, "fw", 0}, {NON, "f", 0}}},
    {"leave",
     leave,
     {{NON, "", 0}, {NON, "t", 0}, {NON, "w", 0}, {NON, "", 0}, {NON, "", 0}, {NON, "w", 0}, {NON, "", 0}}},
};

static char letter_of(const struct trib_work_verdict *verdict)
{
    return verdict->ignored ? 'i' : verdict->breach ? '!' : verdict->begun ? 'b' : 0;
}

START_TEST(each_phase_takes_each_event)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int phase = 0; phase < PHASES; phase++) {
            struct fixture f;
            bring_to(&f, (enum trib_work_phase)phase);
            f.verdict = (struct trib_work_verdict){0};
            (void)did(&f.t);
            rows[i].event(&f);
            const char *done = did(&f.t);
            ck_assert_msg(strcmp(done, rows[i].then[phase].did) == 0, "%s in phase %d: did %s", rows[i].what, phase,
                          done);
            ck_assert_msg((int)trib_work_phase(f.work) == rows[i].then[phase].phase, "%s in phase %d: phase %d",
                          rows[i].what, phase, (int)trib_work_phase(f.work));
            ck_assert_msg(letter_of(&f.verdict) == rows[i].then[phase].verdict, "%s in phase %d: verdict %c",
                          rows[i].what, phase, letter_of(&f.verdict));
            trib_work_free(f.work);
        }
    }
}
END_TEST

START_TEST(what_takes_time_has_a_name)
{
    static const char *const names[PHASES] = {
        [TRIB_WORK_DOWNLOADING] = "download", [TRIB_WORK_TRAINING] = "train", [TRIB_WORK_UPLOADING] = "upload"};
    for (int phase = 0; phase < PHASES; phase++) {
        struct fixture f;
        bring_to(&f, (enum trib_work_phase)phase);
        ck_assert_pstr_eq(trib_work_busy_with(f.work), names[phase]);
        ck_assert(!trib_work_update(f.work) == (phase < TRIB_WORK_READY));
        (void)did(&f.t);
        trib_work_free(f.work);
    }
}
END_TEST

/* ---- time ---- */

START_TEST(a_deadline_ends_what_the_server_does_not_wait_for)
{
    static const bool ends[PHASES] = {
        [TRIB_WORK_DOWNLOADING] = true, [TRIB_WORK_TRAINING] = true, [TRIB_WORK_READY] = true};
    for (int phase = TRIB_WORK_DOWNLOADING; phase < PHASES; phase++) {
        struct fixture f;
        bring_to(&f, TRIB_WORK_NONE);
        trib_work_free(f.work);
        set_up(&f);
        f.deadline = 60;
        task(&f);
        (void)did(&f.t);
        void (*const steps[])(struct fixture *) = {downloaded, trained, asked_for, uploaded};
        const int n = phase == TRIB_WORK_READY ? 2 : phase < TRIB_WORK_READY ? phase - 1 : phase - 2;
        for (int i = 0; i < n; i++) {
            steps[i](&f);
            (void)did(&f.t);
        }
        if (phase == TRIB_WORK_READY) {
            offline(&f);
        }
        ck_assert_int_eq(trib_work_phase(f.work), phase);
        f.t.turn.now_ms += 64999; /* and the grace */
        trib_work_tick(f.work, &f.t.turn);
        ck_assert_int_eq(trib_work_phase(f.work), phase);
        f.t.turn.now_ms++;
        ck_assert((trib_work_wake_ms(f.work) == f.t.turn.now_ms) == ends[phase]);
        trib_work_tick(f.work, &f.t.turn);
        ck_assert_int_eq(trib_work_phase(f.work), ends[phase] ? (int)TRIB_WORK_NONE : phase);
        (void)did(&f.t);
        trib_work_free(f.work);
    }
}
END_TEST

START_TEST(a_broken_transfer_waits_longer_each_time_with_smaller_chunks)
{
    static const uint32_t chunks[] = {CHUNK, CHUNK, 16384, TRIB_CHUNK_LEAST, TRIB_CHUNK_LEAST, TRIB_CHUNK_LEAST};
    struct fixture f;
    bring_to(&f, TRIB_WORK_NONE);
    task(&f);
    for (int i = 0; i < 5; i++) {
        ck_assert_str_eq(did(&f.t), "D");
        ck_assert_uint_eq(f.t.chunk_bytes, chunks[i]);
        download_ends(&f, TRIB_UNAVAILABLE);
        ck_assert_str_eq(did(&f.t), "");
        ck_assert_turn_reported(&f.t, "download_broken");
        ck_assert_int_eq(trib_work_wake_ms(f.work), f.t.turn.now_ms + (500 << i));
        trib_work_tick(f.work, &f.t.turn); /* not yet */
        ck_assert_str_eq(did(&f.t), "");
        f.t.turn.now_ms = trib_work_wake_ms(f.work);
        trib_work_tick(f.work, &f.t.turn);
    }
    (void)did(&f.t);
    download_ends(&f, TRIB_UNAVAILABLE);
    ck_assert_str_eq(did(&f.t), "Sw");
    ck_assert_int_eq(f.t.said, TRIBUTARY__V1__CLIENT_MESSAGE__KIND_FAILURE);
    ck_assert_int_eq(trib_work_phase(f.work), TRIB_WORK_NONE);
    trib_work_free(f.work);
}
END_TEST

START_TEST(memory_goes_back_after_a_while_without_a_task)
{
    struct fixture f;
    bring_to(&f, TRIB_WORK_WAITING);
    folded(&f);
    (void)did(&f.t);
    ck_assert_int_eq(trib_work_wake_ms(f.work), f.t.turn.now_ms + 30000);
    trib_work_release(f.work, &f.t.turn);
    ck_assert_str_eq(did(&f.t), "");
    f.t.turn.now_ms += 30000;
    trib_work_release(f.work, &f.t.turn);
    ck_assert_str_eq(did(&f.t), "r");
    ck_assert_int_eq(trib_work_wake_ms(f.work), INT64_MAX);
    trib_work_free(f.work);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work");
    TCase *tests = tcase_create("work");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, each_phase_takes_each_event);
    tcase_add_test(tests, what_takes_time_has_a_name);
    tcase_add_test(tests, a_deadline_ends_what_the_server_does_not_wait_for);
    tcase_add_test(tests, a_broken_transfer_waits_longer_each_time_with_smaller_chunks);
    tcase_add_test(tests, memory_goes_back_after_a_while_without_a_task);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
