/* The tables that selector_list.def names. */
#ifndef TRIB_SELECT_SELECTOR_TABLES_H
#define TRIB_SELECT_SELECTOR_TABLES_H

#include "select/selector.h"

#define SELECTOR(name) extern const struct trib_selector trib_selector_##name;
#include "selector_list.def"
#undef SELECTOR

/* qsort order of uint32_t, ascending. */
int trib_selector_compare(const void *a, const void *b);

#endif
