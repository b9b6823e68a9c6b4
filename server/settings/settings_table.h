/* The table of server.yaml's rows, for the files that make it and check by it. Inside this block only. */
#ifndef TRIB_CORE_SETTINGS_TABLE_H
#define TRIB_CORE_SETTINGS_TABLE_H

#include "settings/settings.h"

/* trib_server_table returns the table, composed at the first call; any thread. */
const struct trib_config_table *trib_server_table(void);
/* trib_server_strategy_names are the names of the strategies. */
const char *trib_server_strategy_names(size_t index);
/* trib_server_rules_check checks the rules of the entries that the settings name, and those of the server's own keys.
 */
TRIB_MUST_CHECK enum trib_status trib_server_rules_check(const struct trib_server_settings *settings,
                                                         struct trib_error *error);

#endif
