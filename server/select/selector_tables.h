/* These are the tables that selector_list.def names, for the files that define them and the one that lists them. */
#ifndef TRIB_SELECT_SELECTOR_TABLES_H
#define TRIB_SELECT_SELECTOR_TABLES_H

#include "select/selector.h"

#define SELECTOR(name) extern const struct trib_selector trib_selector_##name;
#include "selector_list.def"
#undef SELECTOR

#endif
