/* Structured logging to stderr or a file: logfmt by default, JSON on request. Any thread; a line is one write.
 *
 *   trib_log(TRIB_LOG_INFO, "round", "event", "round_committed", TRIB_F_INT("round", 3), TRIB_F_STR("node", id));
 *
 * prints  ts=2024-05-01T12:00:00.123Z level=info component=round event=round_committed round=3 node=boat-7
 * Text comes from peers too: values are quoted and control bytes escaped, so that no peer can forge a line. */
#ifndef TRIB_BASE_LOG_H
#define TRIB_BASE_LOG_H

#include "base/status.h"

#include <stdint.h>

enum trib_log_level { TRIB_LOG_ERROR, TRIB_LOG_WARN, TRIB_LOG_INFO, TRIB_LOG_DEBUG };
enum trib_log_format { TRIB_LOG_LOGFMT, TRIB_LOG_JSON };

enum trib_field_kind { TRIB_FIELD_INT, TRIB_FIELD_DOUBLE, TRIB_FIELD_STRING, TRIB_FIELD_BOOL };
struct trib_field {
    const char *key;
    enum trib_field_kind kind;
    union {
        int64_t integer;
        double real; /* printed with 6 significant digits; nan and inf as null in JSON */
        const char *string;
        bool boolean;
    } value;
};
#define TRIB_F_INT(name, number)                                                                                       \
    ((struct trib_field){.key = (name), .kind = TRIB_FIELD_INT, .value.integer = (int64_t)(number)})
#define TRIB_F_REAL(name, number)                                                                                      \
    ((struct trib_field){.key = (name), .kind = TRIB_FIELD_DOUBLE, .value.real = (double)(number)})
#define TRIB_F_STR(name, text)  ((struct trib_field){.key = (name), .kind = TRIB_FIELD_STRING, .value.string = (text)})
#define TRIB_F_BOOL(name, flag) ((struct trib_field){.key = (name), .kind = TRIB_FIELD_BOOL, .value.boolean = (flag)})

/* Settings of the whole process, set once by main before threads start. path NULL or "" = stderr. */
struct trib_log_options {
    enum trib_log_level level;
    enum trib_log_format format;
    const char *path;
};
TRIB_MUST_CHECK enum trib_status trib_log_open(const struct trib_log_options *options, struct trib_error *error);
void trib_log_close(void);
bool trib_log_enabled(enum trib_log_level level);
/* Reopen the file of trib_log_open (after rotation). */
void trib_log_reopen(void);
TRIB_MUST_CHECK bool trib_log_parse_level(const char *name, enum trib_log_level *level);

void trib_log_fields(enum trib_log_level level, const char *component, const char *event,
                     const struct trib_field *fields, int n);
/* trib_log(level, component, event, fields...): at least one field. */
#define trib_log(level, component, event, ...)                                                                         \
    do {                                                                                                               \
        if (trib_log_enabled(level)) {                                                                                 \
            const struct trib_field log_fields_[] = {__VA_ARGS__};                                                     \
            trib_log_fields((level), (component), (event), log_fields_,                                                \
                            (int)(sizeof log_fields_ / sizeof log_fields_[0]));                                        \
        }                                                                                                              \
    } while (0)
/* An error record as one line: status, reason, origin; extra fields may follow. */
#define trib_log_error(level, component, event, error, ...)                                                            \
    trib_log(level, component, event, TRIB_F_STR("status", trib_status_name((error)->status)),                         \
             TRIB_F_STR("reason", (error)->message), TRIB_F_STR("origin", (error)->origin), ##__VA_ARGS__)

#endif
