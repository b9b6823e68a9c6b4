/* A release keeps what clients may download, under one lock. Only the publishing thread changes it, so that thread
 * reads without. */
#include "release/release.h"

#include "base/mem.h"
#include "delta_window.h"
#include "past_models.h"

#include <pthread.h>
#include <string.h>

struct trib_release {
    struct trib_release_options options;
    pthread_mutex_t mutex;
    struct trib_version present; /* its delta is in the window */
    struct trib_delta_window window;
    struct trib_past_models past;
};

enum trib_status trib_release_new(const struct trib_release_options *options, struct trib_release **release,
                                  struct trib_error *error)
{
    struct trib_release *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_delta_window_init(&made->window, options->history, error);
    if (status != TRIB_OK) {
        trib_free(made);
        return status;
    }
    made->options = *options;
    pthread_mutex_init(&made->mutex, NULL);
    *release = made;
    return TRIB_OK;
}

void trib_release_free(struct trib_release *release)
{
    if (release) {
        trib_version_clear(&release->present);
        trib_past_models_clear(&release->past);
        trib_delta_window_clear(&release->window);
        pthread_mutex_destroy(&release->mutex);
        trib_free(release);
    }
}

static void push_delta(struct trib_release *release, uint64_t from_version, struct trib_blob *blob,
                       const uint8_t sha256[TRIB_SHA256_LEN])
{
    struct trib_delta delta = {.from_version = from_version, .blob = blob};
    memcpy(delta.sha256, sha256, sizeof delta.sha256);
    trib_delta_window_push(&release->window, &delta, trib_blob_len(release->present.raw));
}

void trib_release_publish(struct trib_release *release, struct trib_version *version)
{
    pthread_mutex_lock(&release->mutex);
    struct trib_version former = release->present;
    if (former.raw && release->options.keeps_past) {
        trib_past_models_push(&release->past, trib_blob_ref(former.raw), former.sha256);
    }
    release->present = *version;
    *version = (struct trib_version){0};
    if (former.raw) {
        push_delta(release, former.number, release->present.delta, release->present.delta_sha256);
        release->present.delta = NULL;
    }
    pthread_mutex_unlock(&release->mutex);
    trib_version_clear(&former);
}

const struct trib_version *trib_release_present(const struct trib_release *release)
{
    return &release->present;
}

void trib_release_route(const struct trib_release *release, bool holds, uint64_t held, struct trib_route *route)
{
    const struct trib_delta_window *window = &release->window;
    size_t n = holds ? trib_delta_window_since(window, held) : window->n;
    route->n = n;
    for (size_t i = 0; i < n; i++) {
        const struct trib_delta *delta = &window->deltas[window->n - n + i];
        route->deltas[i].from_version = delta->from_version;
        route->deltas[i].len = trib_blob_len(delta->blob);
        memcpy(route->deltas[i].sha256, delta->sha256, TRIB_SHA256_LEN);
    }
    route->from_seed = release->options.remade && release->present.number == n;
}

void trib_release_recall(struct trib_release *release, struct trib_version *version)
{
    pthread_mutex_lock(&release->mutex);
    struct trib_version former = release->present;
    if (former.raw && release->options.keeps_past) { /* version 0 has no file: it can be made again, and just was */
        trib_past_models_push(&release->past, trib_blob_ref(former.raw), former.sha256);
    }
    release->present = *version;
    *version = (struct trib_version){0};
    pthread_mutex_unlock(&release->mutex);
    trib_version_clear(&former);
}

void trib_release_recall_past(struct trib_release *release, struct trib_blob *raw,
                              const uint8_t sha256[TRIB_SHA256_LEN])
{
    pthread_mutex_lock(&release->mutex);
    trib_past_models_push(&release->past, raw, sha256);
    pthread_mutex_unlock(&release->mutex);
}

void trib_release_recall_delta(struct trib_release *release, uint64_t from_version, struct trib_blob *blob,
                               const uint8_t sha256[TRIB_SHA256_LEN])
{
    pthread_mutex_lock(&release->mutex);
    push_delta(release, from_version, blob, sha256);
    pthread_mutex_unlock(&release->mutex);
}

struct trib_blob *trib_release_blob(struct trib_release *release, const uint8_t sha256[TRIB_SHA256_LEN])
{
    pthread_mutex_lock(&release->mutex);
    const struct trib_version *present = &release->present;
    bool whole = present->raw && memcmp(present->sha256, sha256, TRIB_SHA256_LEN) == 0;
    struct trib_blob *blob = whole ? trib_blob_ref(present->raw) : trib_delta_window_find(&release->window, sha256);
    if (!blob) {
        blob = trib_past_models_find(&release->past, sha256);
    }
    pthread_mutex_unlock(&release->mutex);
    return blob;
}
