/* The list of selectors. */
#include "selector_tables.h"

#include <string.h>

static const struct trib_selector *const selectors[] = {
#define SELECTOR(name) &trib_selector_##name,
#include "selector_list.def"
#undef SELECTOR
};

size_t trib_selectors(const struct trib_selector *const **list)
{
    *list = selectors;
    return sizeof selectors / sizeof selectors[0];
}

const struct trib_selector *trib_selector_find(const char *name)
{
    for (size_t i = 0; i < sizeof selectors / sizeof selectors[0]; i++) {
        if (strcmp(selectors[i]->name, name) == 0) {
            return selectors[i];
        }
    }
    return NULL;
}
