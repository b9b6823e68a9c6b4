/* A selector's settings in tests: by key, whichever selector has them. */
#ifndef SELECTOR_OPTIONS_H
#define SELECTOR_OPTIONS_H

#include "select/selector.h"

#include <stddef.h>
#include <string.h>

struct selector_options {
    double explore, speed_penalty;
    uint32_t candidates;
};

/* The selector's struct, filled from the options; valid until the next call for a selector of the same place in the
 * list. */
static inline const void *selector_settings(const struct trib_selector *selector,
                                            const struct selector_options *options)
{
    static _Alignas(max_align_t) unsigned char room[16][64];
    const struct trib_selector *const *list;
    size_t n = trib_selectors(&list), at = 0;
    while (at < n && list[at] != selector) {
        at++;
    }
    unsigned char *to = room[at % 16];
    for (size_t i = 0; i < selector->settings.n_rows; i++) {
        const struct trib_config_row *row = &selector->settings.rows[i];
        const int64_t candidates = options->candidates;
        if (strcmp(row->key, "selection.candidates") == 0) {
            memcpy(to + row->offset, &candidates, sizeof candidates);
        } else if (strcmp(row->key, "selection.explore") == 0) {
            memcpy(to + row->offset, &options->explore, sizeof options->explore);
        } else if (strcmp(row->key, "selection.speed_penalty") == 0) {
            memcpy(to + row->offset, &options->speed_penalty, sizeof options->speed_penalty);
        }
    }
    return to;
}

#endif
