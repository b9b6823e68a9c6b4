/* The window of deltas. */
#include "delta_window.h"

#include "base/mem.h"

#include <string.h>

enum trib_status trib_delta_window_init(struct trib_delta_window *window, size_t capacity, struct trib_error *error)
{
    *window = (struct trib_delta_window){0};
    if (capacity > 0) {
        window->deltas = trib_calloc(capacity, sizeof *window->deltas);
        if (!window->deltas) {
            return trib_fail_no_memory(error);
        }
        window->capacity = capacity;
    }
    return TRIB_OK;
}

static void drop_oldest(struct trib_delta_window *window, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        window->bytes -= trib_blob_len(window->deltas[i].blob);
        trib_blob_unref(window->deltas[i].blob);
    }
    window->n -= n;
    if (window->n > 0) {
        memmove(window->deltas, window->deltas + n, window->n * sizeof *window->deltas);
    }
}

void trib_delta_window_clear(struct trib_delta_window *window)
{
    drop_oldest(window, window->n);
    trib_free(window->deltas);
    *window = (struct trib_delta_window){0};
}

void trib_delta_window_push(struct trib_delta_window *window, const struct trib_delta *delta, uint64_t whole_len)
{
    if (!delta->blob || window->capacity == 0) {
        trib_blob_unref(delta->blob);
        drop_oldest(window, window->n);
        return;
    }
    if (window->n == window->capacity) {
        drop_oldest(window, 1);
    }
    window->deltas[window->n++] = *delta;
    window->bytes += trib_blob_len(delta->blob);
    while (window->n > 0 && window->bytes >= whole_len) {
        drop_oldest(window, 1);
    }
}

size_t trib_delta_window_since(const struct trib_delta_window *window, uint64_t version)
{
    uint64_t oldest = window->n > 0 ? window->deltas[0].from_version : 0;
    return window->n > 0 && version >= oldest && version - oldest < window->n ? window->n - (size_t)(version - oldest)
                                                                              : 0;
}

struct trib_blob *trib_delta_window_find(const struct trib_delta_window *window, const uint8_t sha256[TRIB_SHA256_LEN])
{
    for (size_t i = 0; i < window->n; i++) {
        if (memcmp(window->deltas[i].sha256, sha256, TRIB_SHA256_LEN) == 0) {
            return trib_blob_ref(window->deltas[i].blob);
        }
    }
    return NULL;
}
