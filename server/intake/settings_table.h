/* The table of server.yaml's rows, for the files that make it and check by it. Inside this block only. */
#ifndef TRIB_CORE_SETTINGS_TABLE_H
#define TRIB_CORE_SETTINGS_TABLE_H

#include "core/settings.h"

/* trib_server_table returns the table, composed at the first call; any thread. */
const struct trib_config_table *trib_server_table(void);
/* trib_server_strategy_names are the names of the strategies. */
const char *trib_server_strategy_names(size_t index);

#endif
