/* A state directory of a released server, in the middle of a round, under today's server: it is sound, the run goes on
 * where it was, with everybody's part in it; one of a later version is refused by name. What the directory holds was
 * made by this very program when it was released (tests/data/state/make). */
#include "engine_harness.h"

#include "base/str.h"
#include "golden_files.h"
#include "store/state_check.h"

enum { CLIENTS = 3, ROUNDS = 4, EXAMPLES = 100 };
enum { BROKE_AT = 50 /* bytes of the upload that the crash broke */ };

static char state[96];
static int64_t clock_ms;

static int64_t now_ms(void *context)
{
    return *(const int64_t *)context;
}
static const struct trib_hub_driver driver = {.now_ms = now_ms, .context = &clock_ms};

/* ---- the server ---- */

static enum trib_status open_engine(void)
{
    static const char rest[] = "tls: {ca: a, certificate: b, key: c}\n"
                               "model: {name: logistic, example: [4], classes: 3}\n"
                               "compute: {backend: reference, threads: 1}\n"
                               "federation: {min_clients: 3, min_updates: 3, deadline: 60s, idle_timeout: 20s, "
                               "away_timeout: 10s, retry_pause: 1s, rounds: 4, selector: oort}\n"
                               "codec: {up: q8, feedback: ef21, down: q8, down_history: 3}\n"
                               "strategy: {name: ef21}\n"
                               "checkpoints: {keep: 1}\n";
    char path[96], text[1024];
    snprintf(path, sizeof path, "%s/server.yaml", dir);
    snprintf(text, sizeof text, "state_dir: %s\n%s", state, rest);
    ck_assert_int_eq(trib_file_replace(path, text, strlen(text), &error), TRIB_OK);
    ck_assert_msg(trib_server_settings_load(path, NULL, 0, &settings, &error) == TRIB_OK, "%s", error.message);
    return trib_hub_new_with(&(struct trib_hub_setup){.software = "test 1.0", .driver = &driver}, &settings, false,
                             &engine, &error);
}

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-golden-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(state, sizeof state, "%s/state", dir);
    clock_ms = 1700000000000;
    engine = NULL;
}

/* The golden directory, as this test's own. */
static void set_up(void)
{
    make_dir();
    golden_copy("state/server-1", state);
}

static void clean_up(void)
{
    trib_hub_free(engine);
    trib_server_settings_clear(&settings);
    remove_tree(dir);
}

/* ---- the clients ---- */

static struct fake *fakes[CLIENTS];
static struct trib_blob *updates[CLIENTS];

static const char *name_of(unsigned client)
{
    static const char *const names[CLIENTS] = {"harbour-0", "harbour-1", "harbour-2"};
    return names[client];
}

static const Tributary__V1__ServerMessage *answer(unsigned client, Tributary__V1__ServerMessage__KindCase kind)
{
    trib_hub_turn(engine);
    return next_of(fakes[client], kind);
}

static const Tributary__V1__Task *expect_task(unsigned client, uint64_t round, uint64_t version)
{
    const Tributary__V1__ServerMessage *message = answer(client, TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK);
    ck_assert_msg(message, "%s has no task", name_of(client));
    ck_assert_uint_eq(message->task->round, round);
    ck_assert_uint_eq(message->task->model_version, version);
    return message->task;
}

static struct trib_blob *make_update(unsigned client, uint64_t round, const Tributary__V1__Task *task)
{
    float model[N], update[N];
    uint8_t schema[32];
    download(task, model, schema);
    for (unsigned i = 0; i < N; i++) {
        update[i] = 0.01f * (float)((i + client + round) % N + 1);
    }
    return encode_update(task->codec, schema, update);
}

static void send_offer(unsigned client, uint64_t round, uint64_t feedback_round)
{
    uint8_t digest[32];
    const struct trib_blob *update = updates[client];
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    Tributary__V1__Offer offer = TRIBUTARY__V1__OFFER__INIT;
    Tributary__V1__Blob blob = TRIBUTARY__V1__BLOB__INIT;
    ck_assert_int_eq(trib_sha256(trib_blob_data(update), trib_blob_len(update), digest), TRIB_OK);
    blob.sha256 = (ProtobufCBinaryData){.data = digest, .len = sizeof digest};
    blob.len = trib_blob_len(update);
    offer.round = round;
    offer.examples = EXAMPLES + client;
    offer.steps = 7;
    offer.loss = 0.5;
    offer.norm = 1;
    offer.feedback_round = feedback_round;
    offer.update = &blob;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
    message.offer = &offer;
    ck_assert_int_eq(say(fakes[client], &message), TRIB_OK);
}

static uint64_t expect_upload(unsigned client, uint64_t round)
{
    const Tributary__V1__ServerMessage *message = answer(client, TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION);
    ck_assert_msg(message, "%s: nothing was decided", name_of(client));
    ck_assert_uint_eq(message->decision->round, round);
    ck_assert_int_eq(message->decision->kind, TRIBUTARY__V1__DECISION__KIND__UPLOAD);
    return message->decision->offset;
}

static void expect_folded(unsigned client, uint64_t round)
{
    const Tributary__V1__ServerMessage *message = answer(client, TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME);
    ck_assert_msg(message, "%s: it has no outcome", name_of(client));
    ck_assert_uint_eq(message->outcome->round, round);
    ck_assert_msg(message->outcome->kind == TRIBUTARY__V1__OUTCOME__KIND__FOLDED, "%s", message->outcome->reason);
}

static const Tributary__V1__Task *take_task(unsigned client, uint64_t round)
{
    const Tributary__V1__Task *task = expect_task(client, round, round - 1);
    ck_assert_uint_eq(task->folded_round, round - 1);
    trib_blob_unref(updates[client]);
    updates[client] = make_update(client, round, task);
    return task;
}

/* Trained and offered. */
static void do_task(unsigned client, uint64_t round)
{
    (void)take_task(client, round);
    send_offer(client, round, round - 1);
}

static void play_round(uint64_t round)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        do_task(i, round);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        ck_assert_uint_eq(expect_upload(i, round), 0);
        upload_blob(fakes[i], round, updates[i]);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        expect_folded(i, round);
    }
}

static void connect_all(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        fakes[i] = connect_node(name_of(i));
    }
}

static void forget_all(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        fakes[i]->peer.ops->unref(&fakes[i]->peer);
        trib_blob_unref(updates[i]);
        updates[i] = NULL;
    }
}

/* ---- the golden directory ---- */

/* The run, and the model that it has come to. */
static void describe(const Tributary__V1__Task *task, char text[160])
{
    char model[2 * 32 + 1];
    trib_hex_encode(task->model->sha256.data, 32, model);
    snprintf(text, 160, "%s %s\n", task->run, model);
}

static void write_expected(const char *to, const Tributary__V1__Task *task)
{
    char text[160], path[512];
    describe(task, text);
    snprintf(path, sizeof path, "%s/server-1.expected", to);
    ck_assert_int_eq(trib_file_replace(path, text, strlen(text), &error), TRIB_OK);
}

static void check_expected(const Tributary__V1__Task *task)
{
    struct trib_buf expected = {0};
    char text[160], path[512];
    describe(task, text);
    golden_path("state/server-1.expected", path, sizeof path);
    ck_assert_int_eq(trib_file_read(path, sizeof text, &expected, &error), TRIB_OK);
    ck_assert_str_eq(text, trib_buf_text(&expected));
    trib_buf_clear(&expected);
}

/* Two versions are committed; in round 3 the first client's update is here, the second's upload broke, and the third is
 * at work when the process dies. */
START_TEST(make_golden)
{
    const char *to = getenv("TRIB_MAKE_GOLDEN");
    make_dir();
    snprintf(state, sizeof state, "%s/server-1", to);
    ck_assert_msg(open_engine() == TRIB_OK, "%s", error.message);
    connect_all();
    play_round(1);
    play_round(2);
    do_task(0, 3);
    do_task(1, 3);
    write_expected(to, take_task(2, 3));
    ck_assert_uint_eq(expect_upload(0, 3), 0);
    ck_assert_uint_eq(expect_upload(1, 3), 0);
    upload_blob(fakes[0], 3, updates[0]);
    ck_assert_int_eq(upload_range(fakes[1], 3, updates[1], 0, BROKE_AT), TRIB_OK);
    trib_hub_turn(engine);
    clean_up();
    forget_all();
}
END_TEST

/* ---- tests ---- */

static void count_damage(void *context, bool is_damage, const char *text)
{
    *(unsigned *)context += is_damage;
    ck_assert_msg(!is_damage, "%s", text);
}

START_TEST(it_is_sound)
{
    struct trib_state_summary summary;
    unsigned damages = 0;
    set_up();
    ck_assert_msg(trib_state_check(state, TRIB_MEMBER_STATE_COUNT, count_damage, &damages, &summary, &error) == TRIB_OK,
                  "%s", error.message);
    ck_assert_uint_eq(damages, 0);
    ck_assert_uint_eq(summary.runs, 1);
    ck_assert_uint_eq(summary.nodes, CLIENTS);
    ck_assert_uint_eq(summary.rounds, 2);
    ck_assert_uint_eq(summary.versions, 3);
    ck_assert_uint_eq(summary.unreferenced, 0);
    clean_up();
}
END_TEST

START_TEST(its_round_goes_on)
{
    set_up();
    ck_assert_msg(open_engine() == TRIB_OK, "%s", error.message);
    connect_all();
    const Tributary__V1__Task *task = expect_task(1, 3, 2);
    check_expected(task);
    ck_assert_uint_eq(task->n_deltas, 1); /* both together are longer than the model */
    updates[1] = make_update(1, 3, task);
    send_offer(1, 3, 2);
    uint64_t offset = expect_upload(1, 3);
    ck_assert_uint_eq(offset, BROKE_AT);
    ck_assert_int_eq(upload_range(fakes[1], 3, updates[1], offset, trib_blob_len(updates[1])), TRIB_OK);
    do_task(2, 3);
    (void)expect_upload(2, 3);
    upload_blob(fakes[2], 3, updates[2]);
    for (unsigned i = 0; i < CLIENTS; i++) { /* the first one was not asked again */
        expect_folded(i, 3);
    }
    play_round(4);
    ck_assert(trib_hub_complete(engine));
    clean_up();
    forget_all();
}
END_TEST

START_TEST(it_can_be_left_for_a_new_run)
{
    const struct trib_hub_setup setup = {.software = "test 1.0", .driver = &driver};
    set_up();
    ck_assert_int_eq(open_engine(), TRIB_OK);
    trib_hub_free(engine);
    settings.seed = 77; /* simulated runs are named by it */
    ck_assert_msg(trib_hub_new_with(&setup, &settings, true, &engine, &error) == TRIB_OK, "%s", error.message);
    connect_all();
    for (unsigned i = 0; i < CLIENTS; i++) {
        ck_assert_uint_eq(expect_task(i, 1, 0)->folded_round, 0);
    }
    clean_up();
    forget_all();
}
END_TEST

/* SQLite keeps user_version at byte 60 of the file, the highest byte first. */
static void set_version(uint8_t version)
{
    char path[128];
    snprintf(path, sizeof path, "%s/state.db", state);
    golden_patch(path, 63, version);
}

START_TEST(one_of_a_later_version_is_refused)
{
    struct trib_state_summary summary;
    unsigned damages = 0;
    set_up();
    set_version(99);
    ck_assert_int_eq(open_engine(), TRIB_UNSUPPORTED);
    engine = NULL;
    ck_assert_msg(strstr(error.message, "was written by a later version of this program (test 1.0): its tables are of "
                                        "version 99, this one knows up to "),
                  "%s", error.message);
    ck_assert_int_eq(trib_state_check(state, TRIB_MEMBER_STATE_COUNT, count_damage, &damages, &summary, &error),
                     TRIB_UNSUPPORTED);
    ck_assert_msg(strstr(error.message, "version 99"), "%s", error.message);
    trib_server_settings_clear(&settings);
    set_version(1); /* and nothing was done to it */
    ck_assert_msg(open_engine() == TRIB_OK, "%s", error.message);
    clean_up();
}
END_TEST

/* A client that is newer than this server: the version that both know is spoken. */
START_TEST(a_newer_client_is_told_what_is_spoken)
{
    set_up();
    ck_assert_int_eq(open_engine(), TRIB_OK);
    for (unsigned i = 0; i < 3; i++) {
        static const uint32_t known[] = {1, 2, UINT32_MAX};
        const struct trib_stage *const *stages;
        char *names[UINT8_MAX];
        struct fake *fake = new_fake("newcomer");
        Tributary__V1__Hello hello = TRIBUTARY__V1__HELLO__INIT;
        hello.protocol = known[i];
        hello.protocol_least = 1;
        hello.n_codecs = trib_stages(&stages);
        hello.codecs = names;
        for (size_t s = 0; s < hello.n_codecs; s++) {
            names[s] = trib_message_lend(stages[s]->name);
        }
        ck_assert_int_eq(trib_hub_connect(engine, &fake->peer, "newcomer", "test:1", &hello), TRIB_OK);
        trib_hub_turn(engine);
        const Tributary__V1__ServerMessage *message = next_of(fake, TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME);
        ck_assert_ptr_nonnull(message);
        ck_assert_uint_eq(message->welcome->protocol, 1);
        leave(fake);
        trib_hub_turn(engine);
    }
    clean_up();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden_state");
    TCase *tests = tcase_create("server");
    if (getenv("TRIB_MAKE_GOLDEN")) {
        tcase_add_test(tests, make_golden);
    } else {
        tcase_add_test(tests, it_is_sound);
        tcase_add_test(tests, its_round_goes_on);
        tcase_add_test(tests, it_can_be_left_for_a_new_run);
        tcase_add_test(tests, one_of_a_later_version_is_refused);
        tcase_add_test(tests, a_newer_client_is_told_what_is_spoken);
    }
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
