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

int trib_selector_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}
