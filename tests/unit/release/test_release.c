/* A release: what can be downloaded before, while and after versions are published. */
#include "release/release.h"

#include "base/thread_pool.h"
#include "test_main.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { N = 1000, VERSIONS = 40, READERS = 3, HISTORY = 4 };

static struct trib_error error;
static uint8_t schema[TRIB_SHA256_LEN];
static struct trib_sealer sealer;

static void set_up(const char *codec)
{
    memset(schema, 7, sizeof schema);
    sealer = (struct trib_sealer){.feedback = true, .seed = 1, .schema = schema, .n = N};
    ck_assert_int_eq(trib_chain_parse(codec, &sealer.down, &error), TRIB_OK);
    ck_assert_int_eq(trib_thread_pool_new(1, &sealer.pool, &error), TRIB_OK);
}

static void tear_down(void)
{
    trib_thread_pool_free(sealer.pool);
}

static struct trib_release *new_release(bool keeps_past)
{
    struct trib_release *release = NULL;
    const struct trib_release_options options = {.history = HISTORY, .keeps_past = keeps_past, .remade = true};
    ck_assert_int_eq(trib_release_new(&options, &release, &error), TRIB_OK);
    return release;
}

static struct trib_version seal(const struct trib_version *base)
{
    struct trib_version version;
    float *vector = NULL;
    struct trib_blob *raw = trib_sealer_blank(&sealer, &vector);
    ck_assert(raw);
    for (size_t i = 0; i < N; i++) {
        vector[i] = (base ? base->vector[i] : 0) + (float)(i % 17) * 0.01f;
    }
    ck_assert_int_eq(trib_sealer_seal(&sealer, raw, base, &version, &error), TRIB_OK);
    return version;
}

static bool can_be_had(struct trib_release *release, const uint8_t sha256[TRIB_SHA256_LEN])
{
    struct trib_blob *blob = trib_release_blob(release, sha256);
    trib_blob_unref(blob);
    return blob;
}

START_TEST(a_former_model_goes_unless_members_outlive_their_round)
{
    bool keeps_past = _i;
    set_up("rotate|uniform:4|range");
    struct trib_release *release = new_release(keeps_past);
    struct trib_version first = seal(NULL), second;
    uint8_t names[2][TRIB_SHA256_LEN];
    memcpy(names[0], first.sha256, sizeof names[0]);
    trib_release_publish(release, &first);
    second = seal(trib_release_present(release));
    memcpy(names[1], second.sha256, sizeof names[1]);
    ck_assert(!can_be_had(release, names[1]));
    trib_release_publish(release, &second);
    ck_assert(!second.raw); /* taken over */
    ck_assert_int_eq(can_be_had(release, names[0]), keeps_past);
    ck_assert(can_be_had(release, names[1]));
    trib_release_free(release);
    tear_down();
}
END_TEST

START_TEST(routes_lead_from_the_version_that_is_held)
{
    static struct trib_route route;
    set_up("rotate|uniform:2|range");
    struct trib_release *release = new_release(false);
    struct trib_version version = seal(NULL);
    trib_release_publish(release, &version);
    trib_release_route(release, false, 0, &route);
    ck_assert_uint_eq(route.n, 0);
    ck_assert(route.from_seed);
    for (uint64_t number = 1; number <= 3; number++) {
        version = seal(trib_release_present(release));
        ck_assert_uint_eq(version.number, number);
        trib_release_publish(release, &version);
    }
    trib_release_route(release, false, 0, &route);
    ck_assert_uint_eq(route.n, 3);
    ck_assert(route.from_seed);
    trib_release_route(release, true, 2, &route);
    ck_assert_uint_eq(route.n, 1);
    ck_assert_uint_eq(route.deltas[0].from_version, 2);
    ck_assert(!route.from_seed);
    struct trib_blob *delta = trib_release_blob(release, route.deltas[0].sha256);
    ck_assert_uint_eq(trib_blob_len(delta), route.deltas[0].len);
    trib_blob_unref(delta);
    trib_release_free(release);
    tear_down();
}
END_TEST

/* A run that goes on: everything that could be downloaded before the restart can be downloaded after it. */
START_TEST(a_recalled_release_offers_what_was_kept)
{
    static struct trib_route route;
    set_up("rotate|uniform:2|range");
    struct trib_release *before = new_release(true), *after = new_release(true);
    struct trib_version version = seal(NULL), initial = trib_version_ref(&version), kept[HISTORY + 1];
    trib_release_publish(before, &version);
    for (int i = 1; i <= HISTORY; i++) {
        version = seal(trib_release_present(before));
        kept[i] = trib_version_ref(&version);
        trib_release_publish(before, &version);
    }
    trib_release_publish(after, &initial);
    version = trib_version_ref(&kept[HISTORY]);
    trib_blob_unref(version.delta);
    version.delta = NULL;
    trib_release_recall(after, &version);
    for (int i = 1; i < HISTORY; i++) {
        trib_release_recall_past(after, trib_blob_ref(kept[i].raw), kept[i].sha256);
    }
    for (uint64_t i = 1; i <= HISTORY; i++) {
        trib_release_recall_delta(after, i - 1, trib_blob_ref(kept[i].delta), kept[i].delta_sha256);
    }
    for (int i = 1; i <= HISTORY; i++) {
        ck_assert(can_be_had(after, kept[i].sha256));
        ck_assert_int_eq(can_be_had(after, kept[i].delta_sha256), can_be_had(before, kept[i].delta_sha256));
        trib_version_clear(&kept[i]);
    }
    trib_release_route(before, false, 0, &route);
    size_t n = route.n;
    trib_release_route(after, false, 0, &route);
    ck_assert_uint_gt(n, 0);
    ck_assert_uint_eq(route.n, n);
    trib_release_free(before);
    trib_release_free(after);
    tear_down();
}
END_TEST

/* ---- readers while versions are published ---- */

struct names {
    pthread_mutex_t mutex;
    struct {
        uint8_t model[TRIB_SHA256_LEN], delta[TRIB_SHA256_LEN];
    } of[VERSIONS];
    int n;
};
static struct names names = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static atomic_bool over;

static void *read_blobs(void *context)
{
    struct trib_release *release = context;
    uint64_t found = 0;
    for (unsigned i = 0; !atomic_load(&over) || found == 0; i++) { /* the last version stays */
        uint8_t wanted[2][TRIB_SHA256_LEN];
        pthread_mutex_lock(&names.mutex);
        int at = names.n - 1 - (int)(i % 3);
        bool any = at >= 0;
        memcpy(wanted[0], names.of[any ? at : 0].model, sizeof wanted[0]);
        memcpy(wanted[1], names.of[any ? at : 0].delta, sizeof wanted[1]);
        pthread_mutex_unlock(&names.mutex);
        for (int kind = 0; any && kind < 2; kind++) {
            uint8_t digest[TRIB_SHA256_LEN];
            struct trib_blob *blob = trib_release_blob(release, wanted[kind]);
            if (blob) {
                ck_assert_int_eq(trib_sha256(trib_blob_data(blob), trib_blob_len(blob), digest), TRIB_OK);
                ck_assert_mem_eq(digest, wanted[kind], sizeof digest);
                found++;
            }
            trib_blob_unref(blob);
        }
    }
    return (void *)(uintptr_t)found;
}

START_TEST(blobs_are_fetched_while_versions_are_published)
{
    pthread_t readers[READERS];
    set_up("rotate|uniform:4|range");
    struct trib_release *release = new_release(true);
    names.n = 0;
    atomic_store(&over, false);
    for (int i = 0; i < READERS; i++) {
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_blobs, release), 0);
    }
    for (int i = 0; i < VERSIONS; i++) {
        struct trib_version version = seal(i > 0 ? trib_release_present(release) : NULL);
        pthread_mutex_lock(&names.mutex);
        memcpy(names.of[i].model, version.sha256, TRIB_SHA256_LEN);
        memcpy(names.of[i].delta, version.delta_sha256, TRIB_SHA256_LEN);
        names.n = i + 1;
        pthread_mutex_unlock(&names.mutex);
        trib_release_publish(release, &version);
    }
    atomic_store(&over, true);
    for (int i = 0; i < READERS; i++) {
        void *found;
        pthread_join(readers[i], &found);
        ck_assert_uint_gt((uintptr_t)found, 0);
    }
    trib_release_free(release);
    tear_down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("release");
    TCase *tcase = tcase_create("release");
    tcase_add_loop_test(tcase, a_former_model_goes_unless_members_outlive_their_round, 0, 2);
    tcase_add_test(tcase, routes_lead_from_the_version_that_is_held);
    tcase_add_test(tcase, a_recalled_release_offers_what_was_kept);
    tcase_add_test(tcase, blobs_are_fetched_while_versions_are_published);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
