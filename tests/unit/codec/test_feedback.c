/* Error feedback: nothing is lost on the way, and what biased codecs cannot do alone they do with it. */
#include "codec/feedback.h"
#include "codec/frame.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "test_frames.h"
#include "test_main.h"

#include <math.h>
#include <string.h>

static const uint8_t schema[TRIB_FRAME_HASH_LEN] = {3};

/* A client with its state, and everything that it was given and has sent. */
struct client {
    struct trib_feedback feedback;
    struct trib_chain chain;
    size_t n;
    float *state[TRIB_FEEDBACK_VECTORS], *vector, *sent;
    struct trib_thread_pool *pool;
};

static struct client make_client(const char *feedback, double momentum, const char *chain, size_t n)
{
    struct client made = {.chain = chain_of(chain), .n = n};
    ck_assert_int_eq(trib_feedback_read(feedback, momentum, &made.feedback, NULL), TRIB_OK);
    for (size_t i = 0; i < TRIB_FEEDBACK_VECTORS; i++) {
        made.state[i] = trib_calloc(n, sizeof(float));
        ck_assert_ptr_nonnull(made.state[i]);
    }
    made.vector = trib_calloc(n, sizeof(float));
    made.sent = trib_calloc(n, sizeof(float));
    ck_assert(made.vector && made.sent);
    return made;
}

static void clear_client(struct client *client)
{
    for (size_t i = 0; i < TRIB_FEEDBACK_VECTORS; i++) {
        trib_free(client->state[i]);
    }
    trib_free(client->vector);
    trib_free(client->sent);
}

/* One round; client->sent is what the server decodes. */
static void send_update(struct client *client, const float *delta, uint64_t seed)
{
    struct trib_feedback_coding coding = {.kind = client->feedback.kind, .vector = client->vector};
    struct trib_frame_job job = {.kind = TRIB_FRAME_UPDATE,
                                 .chain = &client->chain,
                                 .seed = seed,
                                 .schema = schema,
                                 .vector = client->vector,
                                 .n = client->n,
                                 .pool = client->pool,
                                 .decoded = trib_feedback_decoded,
                                 .context = &coding};
    struct trib_blob *frame = NULL;
    struct trib_error error;
    memcpy(client->vector, delta, client->n * sizeof *delta);
    trib_feedback_before(&client->feedback, client->vector, client->state, client->n);
    ck_assert_msg(trib_frame_encode(&job, &frame, &error) == TRIB_OK, "%s", error.message);
    const struct trib_frame_source source = trib_frame_source_memory(frame);
    ck_assert_int_eq(trib_frame_decode(&source, NULL, client->sent, client->n, NULL), TRIB_OK);
    trib_blob_unref(frame);
    trib_feedback_after(&client->feedback, client->vector, client->state, client->n);
}

static void fill(float *vector, size_t n, uint64_t seed)
{
    struct trib_rng rng = trib_rng_init(seed, "feedback", 0, 0);
    for (size_t i = 0; i < n; i++) {
        vector[i] = (float)trib_rng_normal(&rng);
    }
}

START_TEST(names_are_read)
{
    struct trib_feedback feedback;
    struct trib_error error = {.message = ""};
    static const char *const names[] = {"none", "ef", "ef21", "dgc"};
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(trib_feedback_read(names[i], 0.5, &feedback, NULL), TRIB_OK);
        ck_assert_uint_eq(feedback.kind, i);
        ck_assert_str_eq(trib_feedback_name(feedback.kind), names[i]);
    }
    ck_assert_int_eq(trib_feedback_read("", 0, &feedback, NULL), TRIB_OK);
    ck_assert_int_eq(feedback.kind, TRIB_FEEDBACK_NONE);
    ck_assert_int_eq(trib_feedback_read("ef22", 0, &feedback, &error), TRIB_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.message, "ef22"));
    ck_assert_ptr_nonnull(strstr(error.message, "ef21"));
    static const double momenta[] = {-0.1, 1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof momenta / sizeof momenta[0]; i++) {
        ck_assert_int_eq(trib_feedback_read("dgc", momenta[i], &feedback, NULL), TRIB_INVALID);
    }
}
END_TEST

/* Sum of what was sent + what is left = sum of what there was. */
static void telescopes(const char *kind, const char *chain, struct trib_thread_pool *pool)
{
    enum { N = TRIB_CODEC_BLOCK + 5000, ROUNDS = 20 };
    struct client client = make_client(kind, 0, chain, N);
    client.pool = pool;
    double *balance = trib_calloc(N, sizeof *balance);
    float *delta = trib_calloc(N, sizeof *delta);
    ck_assert(balance && delta);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        fill(delta, N, round);
        send_update(&client, delta, round);
        for (size_t i = 0; i < N; i++) {
            balance[i] += (double)delta[i] - (double)client.sent[i];
        }
    }
    const float *left = client.state[client.feedback.kind == TRIB_FEEDBACK_DGC];
    double size = 0, worst = 0;
    for (size_t i = 0; i < N; i++) {
        worst = fmax(worst, fabs(balance[i] - (double)left[i]));
        size += (double)left[i] * (double)left[i];
    }
    ck_assert_double_le(worst, 1e-3);
    ck_assert_double_gt(size, 1); /* there was something to keep */
    trib_free(balance);
    trib_free(delta);
    clear_client(&client);
}

START_TEST(what_is_not_sent_is_kept)
{
    static const char *const chains[] = {"sign", "topk:1%|f16", "ternary:1/50"};
    struct trib_thread_pool *pool = NULL;
    ck_assert_int_eq(trib_thread_pool_new(2, &pool, NULL), TRIB_OK);
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        telescopes("ef", chains[i], i % 2 == 0 ? NULL : pool);
        telescopes("dgc", chains[i], i % 2 == 0 ? pool : NULL);
    }
    trib_thread_pool_free(pool);
}
END_TEST

/* g gets to a constant delta, and is the sum of what was sent: what the server has. */
START_TEST(ef21_learns_what_stays)
{
    enum { N = 2000, ROUNDS = 60 };
    struct client client = make_client("ef21", 0, "topk:10%|f32", N);
    float delta[N], servers[N] = {0};
    fill(delta, N, 9);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        send_update(&client, delta, round);
        for (size_t i = 0; i < N; i++) {
            servers[i] += client.sent[i];
        }
        ck_assert_mem_eq(servers, client.state[0], sizeof servers); /* bit for bit */
    }
    for (size_t i = 0; i < N; i++) {
        ck_assert_float_eq_tol(servers[i], delta[i], 1e-6f);
    }
    clear_client(&client);
}
END_TEST

/* dgc against its formulas, written down naively. */
START_TEST(dgc_corrects_momentum_and_masks_it)
{
    enum { N = 500, ROUNDS = 30 };
    const float m = 0.9f;
    struct client client = make_client("dgc", 0.9, "topk:5%|sign", N);
    float delta[N], u[N] = {0}, v[N] = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        fill(delta, N, round);
        send_update(&client, delta, round);
        size_t sent = 0;
        for (size_t i = 0; i < N; i++) {
            u[i] = m * u[i] + delta[i];
            v[i] += u[i];
            if (client.sent[i] != 0) {
                sent++;
                u[i] = 0;
                v[i] -= client.sent[i];
            }
            ck_assert_float_eq(u[i], client.state[0][i]);
            ck_assert_float_eq(v[i], client.state[1][i]);
        }
        ck_assert_uint_eq(sent, N / 20);
    }
    clear_client(&client);
}
END_TEST

/* Two clients, whose gradients at the common minimum t are far from zero and cancel:  grad_i = x - t +- h.  Returns the
 * distance |x - t| / |t| after training from x = 0. */
static double train_two(const char *kind, const char *chain)
{
    enum { N = 200, ROUNDS = 100, FAR = 2 };
    struct client clients[2] = {make_client(kind, 0, chain, N), make_client(kind, 0, chain, N)};
    float x[N] = {0}, target[N], apart[N], delta[N], sum[2][N] = {{0}};
    fill(target, N, 1);
    fill(apart, N, 2);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        float rate = 0.5f / (1 + 0.1f * (float)round), step[N] = {0};
        for (size_t c = 0; c < 2; c++) {
            for (size_t i = 0; i < N; i++) {
                delta[i] = -rate * (x[i] - target[i] + (c == 0 ? (float)FAR : -(float)FAR) * (1 + fabsf(apart[i])));
            }
            send_update(&clients[c], delta, round);
            for (size_t i = 0; i < N; i++) {
                sum[c][i] += clients[c].sent[i];
                step[i] += (clients[c].feedback.kind == TRIB_FEEDBACK_EF21 ? sum[c][i] : clients[c].sent[i]) / 2;
            }
        }
        for (size_t i = 0; i < N; i++) {
            x[i] += step[i];
        }
    }
    double far = 0, size = 0;
    for (size_t i = 0; i < N; i++) {
        far += (double)(x[i] - target[i]) * (double)(x[i] - target[i]);
        size += (double)target[i] * (double)target[i];
    }
    clear_client(&clients[0]);
    clear_client(&clients[1]);
    return sqrt(far / size);
}

START_TEST(biased_codecs_converge_with_it_alone)
{
    static const char *const chains[] = {"sign", "topk:20%|f32", "ternary:20%"};
    static const char *const kinds[] = {"ef", "ef21"}; /* dgc without momentum is ef */
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        double without = train_two("none", chains[i]);
        ck_assert_msg(without > 0.6, "%s without: %g", chains[i], without);
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            double with = train_two(kinds[k], chains[i]);
            ck_assert_msg(with < 0.3, "%s with %s: %g", chains[i], kinds[k], with);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("feedback");
    TCase *tests = tcase_create("feedback");
    tcase_add_test(tests, names_are_read);
    tcase_add_test(tests, what_is_not_sent_is_kept);
    tcase_add_test(tests, ef21_learns_what_stays);
    tcase_add_test(tests, dgc_corrects_momentum_and_masks_it);
    tcase_add_test(tests, biased_codecs_converge_with_it_alone);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
