/* The list of selectors. Any thread; nothing here changes. */
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

const char *trib_selector_names(size_t index)
{
    return index < sizeof selectors / sizeof selectors[0] ? selectors[index]->name : NULL;
}

void trib_selectors_add_rows(struct trib_config_table *table)
{
    for (size_t i = 0; i < sizeof selectors / sizeof selectors[0]; i++) {
        trib_config_table_place(table, &selectors[i]->settings, selectors[i]->name);
    }
}
