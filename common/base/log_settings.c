/* The rows of the log. Any thread; nothing here changes. */
#include "base/log_settings.h"

#define AT(member) offsetof(struct trib_log_settings, member)

static const char *const levels[] = {
    [TRIB_LOG_ERROR] = "error", [TRIB_LOG_WARN] = "warn", [TRIB_LOG_INFO] = "info", [TRIB_LOG_DEBUG] = "debug", NULL};
static const char *const formats[] = {[TRIB_LOG_LOGFMT] = "logfmt", [TRIB_LOG_JSON] = "json", NULL};

static const struct trib_config_row rows[] = {
    TRIB_ROW("level", TRIB_TYPE_ENUM, AT(level), "info", 0, 0, levels, 0, "How much is logged."),
    TRIB_ROW("format", TRIB_TYPE_ENUM, AT(format), "logfmt", 0, 0, formats, 0, "How log lines are written."),
    TRIB_ROW("file", TRIB_TYPE_PATH, AT(file), NULL, 0, 4096, NULL, 0,
             "Log file; without it the log goes to standard error. SIGHUP opens it anew."),
};

const struct trib_config_group trib_log_group = {TRIB_GROUP_ROWS(rows), .size = sizeof(struct trib_log_settings)};

struct trib_log_options trib_log_options_of(const struct trib_log_settings *settings)
{
    return (struct trib_log_options){.level = (enum trib_log_level)settings->level,
                                     .format = (enum trib_log_format)settings->format,
                                     .path = settings->file};
}
