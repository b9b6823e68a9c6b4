/* The arguments of a stage are read as its table's rows say, and its usage is written from the same rows. */
#include "codec/stage.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* ---- usage ---- */

static const char *start_of(const struct trib_stage *stage, unsigned i)
{
    const struct trib_stage_arg *arg = &stage->args[i];
    return arg->optional ? (i == 0 ? "[:" : "[,") : (i == 0 ? ":" : ",");
}

void trib_stage_usage(const struct trib_stage *stage, char text[TRIB_STAGE_USAGE])
{
    int at = snprintf(text, TRIB_STAGE_USAGE, "%s", stage->name);
    for (unsigned i = 0; i < stage->n_args && at > 0 && at < TRIB_STAGE_USAGE; i++) {
        const struct trib_stage_arg *arg = &stage->args[i];
        at += snprintf(text + at, (size_t)(TRIB_STAGE_USAGE - at), "%s%s%s", start_of(stage, i), arg->name,
                       arg->optional ? "]" : "");
    }
}

static enum trib_status fail_with_usage(const struct trib_stage *stage, const char *what, struct trib_error *error)
{
    char usage[TRIB_STAGE_USAGE];
    trib_stage_usage(stage, usage);
    return trib_fail(error, TRIB_INVALID, "%s; write %s%s%s", what, usage, stage->examples ? ", for example " : "",
                     stage->examples ? stage->examples : "");
}

/* ---- one argument ---- */

static bool read_share(const char *text, double *share)
{
    char number[32];
    double value, divisor = 1;
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (slash) {
        if (trib_parse_double(slash + 1, 1, 0x1p53, &divisor, NULL) != TRIB_OK) {
            return false;
        }
    } else if (len > 0 && text[len - 1] == '%') {
        divisor = 100;
        len--;
    }
    if (len >= sizeof number) {
        return false;
    }
    memcpy(number, text, len);
    number[len] = '\0';
    if (trib_parse_double(number, 0, divisor, &value, NULL) != TRIB_OK) {
        return false;
    }
    *share = value / divisor;
    return *share > 0;
}

static enum trib_status parse_share(const struct trib_stage *stage, const char *text, double *share,
                                    struct trib_error *error)
{
    if (read_share(text, share)) {
        return TRIB_OK;
    }
    char usage[TRIB_STAGE_USAGE];
    trib_stage_usage(stage, usage);
    return trib_fail(error, TRIB_INVALID,
                     "\"%.40s\" is no share of the values; write %s, with a share above 0 and up to 1 as \"1%%\", "
                     "\"1/400\" or \"0.01\"",
                     text, usage);
}

static enum trib_status parse_number(const struct trib_stage_arg *arg, const char *text, double *value,
                                     struct trib_error *error)
{
    char number[32];
    size_t unit_len = !arg->unit ? 0 : strlen(arg->unit);
    if (unit_len > 0 && trib_str_ends_with(text, arg->unit) && trib_str_copy(number, sizeof number, text)) {
        number[strlen(number) - unit_len] = '\0';
        return trib_parse_double(number, arg->least, arg->most, value, error);
    }
    return trib_parse_double(text, arg->least, arg->most, value, error);
}

static enum trib_status parse_one(const struct trib_stage_arg *arg, const char *text, struct trib_stage_use *use,
                                  double *value, struct trib_error *error)
{
    char message[80];
    int64_t whole;
    switch (arg->kind) {
    case TRIB_STAGE_ARG_WHOLE:
        TRIB_TRY(trib_parse_int(text, (int64_t)arg->least, (int64_t)arg->most, &whole, error));
        *value = (double)whole;
        return TRIB_OK;
    case TRIB_STAGE_ARG_NUMBER:
        return parse_number(arg, text, value, error);
    case TRIB_STAGE_ARG_SHARE:
        return parse_share(use->stage, text, value, error);
    case TRIB_STAGE_ARG_WORD:
        if (strcmp(text, arg->name) != 0) {
            (void)snprintf(message, sizeof message, "\"%.40s\" is not known", text);
            return fail_with_usage(use->stage, message, error);
        }
        *value = 1;
        use->caps = (use->caps & ~arg->caps_off) | arg->caps_on;
        return TRIB_OK;
    }
    return TRIB_INTERNAL;
}

/* ---- all of them ---- */

static enum trib_status check_count(const struct trib_stage *stage, size_t n, struct trib_error *error)
{
    static const char *const numbers[] = {"no", "one", "two", "three", "four"};
    char message[80];
    unsigned required = 0;
    for (unsigned i = 0; i < stage->n_args; i++) {
        required += !stage->args[i].optional;
    }
    if (n > stage->n_args) {
        return fail_with_usage(stage, "too many arguments", error);
    }
    if (n >= required) {
        return TRIB_OK;
    }
    if (required > 1) {
        (void)snprintf(message, sizeof message, "needs %s arguments", numbers[required]);
        return fail_with_usage(stage, message, error);
    }
    if (stage->args[0].kind == TRIB_STAGE_ARG_SHARE) {
        double share;
        return parse_share(stage, "", &share, error);
    }
    (void)snprintf(message, sizeof message, "needs %s", stage->args[0].what);
    return fail_with_usage(stage, message, error);
}

enum trib_status trib_stage_parse_args(const char *const *texts, size_t n, struct trib_stage_use *use,
                                       struct trib_error *error)
{
    const struct trib_stage *stage = use->stage;
    TRIB_TRY(check_count(stage, n, error));
    for (unsigned i = 0; i < stage->n_args; i++) {
        use->args[i] = stage->args[i].standard;
        if (i < n) {
            TRIB_TRY(parse_one(&stage->args[i], texts[i], use, &use->args[i], error));
        }
    }
    return TRIB_OK;
}
