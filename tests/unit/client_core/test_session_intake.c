/* A task with anything wrong in it is refused with the fault's name, and leaves the session as it was: the next task
 * is taken. */
#include "client/limits.h"
#include "codec/frame.h"
#include "harness.h"

/* A task and all that it points to, for one fault at a time. */
struct parts {
    Tributary__V1__Task task;
    Tributary__V1__Blob model, delta_blob;
    Tributary__V1__Recipe recipe;
    Tributary__V1__Delta delta, *deltas[1];
    uint8_t model_sha[32], graph_sha[32], delta_sha[32], graph[8];
};

static void fill(struct parts *p, uint8_t graph)
{
    memset(p, 0, sizeof *p);
    memset(p->model_sha, 7, sizeof p->model_sha);
    memset(p->graph, graph, sizeof p->graph);
    ck_assert_int_eq(trib_sha256(p->graph, sizeof p->graph, p->graph_sha), TRIB_OK);
    tributary__v1__blob__init(&p->model);
    p->model.sha256 = (ProtobufCBinaryData){.data = p->model_sha, .len = sizeof p->model_sha};
    p->model.len = MODEL_LEN;
    tributary__v1__recipe__init(&p->recipe);
    p->recipe.loss = text_of("cross_entropy");
    p->recipe.optimizer = text_of("sgd");
    p->recipe.epochs = 1;
    p->recipe.batch_size = 32;
    p->recipe.learning_rate = 0.1f;
    tributary__v1__blob__init(&p->delta_blob);
    p->delta_blob.sha256 = (ProtobufCBinaryData){.data = p->delta_sha, .len = sizeof p->delta_sha};
    p->delta_blob.len = DELTA_LEN;
    tributary__v1__delta__init(&p->delta);
    p->delta.from_version = 4;
    p->delta.blob = &p->delta_blob;
    p->deltas[0] = &p->delta;
    tributary__v1__task__init(&p->task);
    p->task.run = text_of(RUN);
    p->task.round = 1;
    p->task.model = &p->model;
    p->task.model_version = 5;
    p->task.deltas = p->deltas;
    p->task.n_deltas = 1;
    p->task.plan_sha256 = (ProtobufCBinaryData){.data = p->graph_sha, .len = sizeof p->graph_sha};
    p->task.graph = (ProtobufCBinaryData){.data = p->graph, .len = sizeof p->graph};
    p->task.recipe = &p->recipe;
    p->task.codec = text_of("f32");
    p->task.seed = 42;
}

static void tell(struct harness *h, struct parts *p)
{
    Tributary__V1__ServerMessage message = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK;
    message.task = &p->task;
    say(h, &message);
}

#define REFUSED(h, change, words)                                                                                      \
    do {                                                                                                               \
        struct parts p;                                                                                                \
        fill(&p, 1);                                                                                                   \
        change;                                                                                                        \
        tell(h, &p);                                                                                                   \
        ck_assert_sent(h, FAILURE);                                                                                    \
        ck_assert_msg(strstr((h)->sent->failure->reason, words), #change ": %s", (h)->sent->failure->reason);          \
        ck_assert_state(h, TRIB_STATE_IDLE);                                                                           \
    } while (0)

START_TEST(every_wrong_field_of_a_task_is_named)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    REFUSED(&h, p.task.run = text_of("another"), "the task is of run \"another\"");
    REFUSED(&h, p.task.round = 0, "lacks its round");
    REFUSED(&h, p.task.model = NULL, "lacks its model");
    REFUSED(&h, p.task.recipe = NULL, "lacks its recipe");
    REFUSED(&h, p.task.plan_sha256.len = 5, "plan hash is 5 bytes long");
    REFUSED(&h, p.model.sha256.len = 0, "model hash is 0 bytes long");
    REFUSED(&h, p.model.len = 0, "a model of 0 bytes is not possible");
    REFUSED(&h, p.model.len = TRIB_MODEL_FRAME_MAX + 1, "is not possible");
    REFUSED(&h, p.delta.blob = NULL, "the task's delta from version 4 has no possible length");
    REFUSED(&h, p.delta_blob.len = TRIB_MODEL_FRAME_MAX + 1, "has no possible length");
    REFUSED(&h, p.task.codec = text_of("auto:"), "auto");
    REFUSED(&h, p.task.codec = text_of("nonsense"), "codec \"nonsense\" is not known");
    REFUSED(&h, p.task.feedback = text_of("nonsense"), "nonsense");
    REFUSED(&h, p.recipe.optimizer = text_of("guess"), "optimizer \"guess\" is not known");
    REFUSED(&h, p.recipe.batch_size = 0, "batch_size");
    REFUSED(&h, p.task.graph.len = 0, "names a plan that was not sent on this connection");
    REFUSED(&h, p.graph[0] ^= 1, "the plan's SHA-256 is not the one that the task names");
    struct parts sound;
    fill(&sound, 1);
    tell(&h, &sound);
    ck_assert_state(&h, TRIB_STATE_DOWNLOADING);
    teardown(&h);
}
END_TEST

/* A task of a round that is never finished: its outcome comes at once. */
static bool takes_graph(struct harness *h, uint8_t graph, uint64_t round, bool with_graph)
{
    struct parts p;
    fill(&p, graph);
    p.task.round = round;
    if (!with_graph) {
        p.task.graph.len = 0;
    }
    tell(h, &p);
    bool taken = trib_session_state(h->session) == TRIB_STATE_DOWNLOADING;
    if (taken) {
        outcome(h, round, TRIBUTARY__V1__OUTCOME__KIND__LATE);
    }
    ck_assert_state(h, TRIB_STATE_IDLE);
    return taken;
}

START_TEST(of_many_graphs_the_latest_are_kept)
{
    struct harness h;
    uint64_t round = 1;
    start(&h, TRIB_STATE_IDLE);
    for (uint8_t graph = 1; graph <= 4; graph++) {
        ck_assert(takes_graph(&h, graph, round++, true));
    }
    ck_assert(takes_graph(&h, 1, round++, false));
    ck_assert(takes_graph(&h, 3, round++, true)); /* sent again, it is the same */
    ck_assert(takes_graph(&h, 5, round++, true)); /* in the place of the second, whose use lies furthest back */
    ck_assert(!takes_graph(&h, 2, round++, false));
    ck_assert(takes_graph(&h, 1, round++, false));
    ck_assert(takes_graph(&h, 3, round++, false));
    ck_assert(takes_graph(&h, 4, round++, false));
    ck_assert(takes_graph(&h, 5, round++, false));
    teardown(&h);
}
END_TEST

START_TEST(a_target_instead_of_a_codec_is_taken)
{
    struct harness h;
    struct parts p;
    start(&h, TRIB_STATE_IDLE);
    fill(&p, 1);
    p.task.codec = text_of("auto:2,10");
    p.task.sketch_positions = UINT64_MAX; /* no more than there can be */
    tell(&h, &p);
    ck_assert_msg(trib_session_state(h.session) == TRIB_STATE_DOWNLOADING, "%s", h.sent ? h.sent->failure->reason : "");
    teardown(&h);
}
END_TEST

/* The same task again is no news; one that differs in anything that its update depends on is another task. */
START_TEST(a_task_that_differs_anywhere_is_another)
{
    static const struct {
        const char *what;
        bool same;
    } changes[] = {{"nothing", true},        {"loss", false},        {"momentum_of_feedback", false},
                   {"epochs", false},        {"batch_size", false},  {"max_steps", false},
                   {"learning_rate", false}, {"momentum", false},    {"weight_decay", false},
                   {"clip_norm", false},     {"proximal_mu", false}, {"codec", false},
                   {"feedback", false},      {"sketch", false},      {"seed", false},
                   {"model_len", false},     {"model_sha", false},   {"graph", false},
                   {"deadline", true}};
    for (int i = 0; i < (int)(sizeof changes / sizeof changes[0]); i++) {
        struct harness h;
        struct parts p;
        start(&h, TRIB_STATE_IDLE);
        fill(&p, 1);
        tell(&h, &p);
        ck_assert_did(&h, "D");
        fill(&p, i == 17 ? 2 : 1);
        p.recipe.loss = text_of(i == 1 ? "mse" : "cross_entropy");
        p.task.feedback = text_of(i == 2 || i == 12 ? "dgc" : "");
        p.task.feedback_momentum = i == 2 ? 0.5 : 0;
        p.recipe.epochs += i == 3;
        p.recipe.batch_size += i == 4;
        p.recipe.max_steps += i == 5;
        p.recipe.learning_rate *= i == 6 ? 2 : 1;
        p.recipe.momentum = i == 7 ? 0.5F : 0;
        p.recipe.weight_decay = i == 8 ? 0.5F : 0;
        p.recipe.clip_norm = i == 9 ? 0.5F : 0;
        p.recipe.proximal_mu = i == 10 ? 0.5F : 0;
        p.task.codec = text_of(i == 11 ? "f16" : "f32");
        p.task.sketch_positions = i == 13 ? 64 : 0;
        p.task.seed += i == 14;
        p.model.len += i == 15;
        p.model_sha[0] ^= i == 16;
        p.task.deadline_seconds = i == 18 ? 60 : 0;
        tell(&h, &p);
        ck_assert_msg(!h.sent || h.sent->kind_case != TRIBUTARY__V1__CLIENT_MESSAGE__KIND_FAILURE, "%s: %s",
                      changes[i].what, h.sent ? h.sent->failure->reason : "");
        bool again = strchr(h.did, 'D') || strchr(h.did, 't');
        ck_assert_msg(again != changes[i].same, "%s: did %s", changes[i].what, h.did);
        teardown(&h);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_intake");
    TCase *tests = tcase_create("session_intake");
    tcase_add_test(tests, every_wrong_field_of_a_task_is_named);
    tcase_add_test(tests, of_many_graphs_the_latest_are_kept);
    tcase_add_test(tests, a_target_instead_of_a_codec_is_taken);
    tcase_add_test(tests, a_task_that_differs_anywhere_is_another);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
