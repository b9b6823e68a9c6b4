/* The log's settings: the same keys for every daemon, under "log". */
#ifndef TRIB_BASE_LOG_SETTINGS_H
#define TRIB_BASE_LOG_SETTINGS_H

#include "base/config_table.h"
#include "base/log.h"

struct trib_log_settings {
    int level, format; /* enum trib_log_level, enum trib_log_format */
    char *file;        /* NULL or "" = standard error */
};
extern const struct trib_config_group trib_log_group;
/* trib_log_options_of returns what trib_log_open wants to know; the path is borrowed. */
struct trib_log_options trib_log_options_of(const struct trib_log_settings *settings);

#endif
