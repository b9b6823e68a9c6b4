/* The status table's look-ups, and the writing of error records. Any thread; no allocation, no logging. */
#include "base/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct status_row {
    const char *name;
    const char *text;
    int grpc;
    int exit_code;
    bool may_retry;
};

static const struct status_row status_rows[TRIB_STATUS_COUNT] = {
#define STATUS_ROW(code, name_, grpc_, exit_, retry_, text_)                                                           \
    [TRIB_##code] = {.name = (name_), .text = (text_), .grpc = (grpc_), .exit_code = (exit_), .may_retry = (retry_)},
    TRIB_STATUS_TABLE(STATUS_ROW)
#undef STATUS_ROW
};

/* A number from outside the table counts as an internal error. */
static const struct status_row *row_of(enum trib_status status)
{
    unsigned index = (unsigned)status;
    return &status_rows[index < TRIB_STATUS_COUNT ? index : TRIB_INTERNAL];
}

const char *trib_status_name(enum trib_status status)
{
    return row_of(status)->name;
}

const char *trib_status_text(enum trib_status status)
{
    return row_of(status)->text;
}

int trib_status_to_grpc(enum trib_status status)
{
    return row_of(status)->grpc;
}

int trib_status_exit_code(enum trib_status status)
{
    return row_of(status)->exit_code;
}

bool trib_status_may_retry(enum trib_status status)
{
    return row_of(status)->may_retry;
}

/* Several of our codes share one gRPC status; each gRPC status comes back as the most general of them. */
enum trib_status trib_status_from_grpc(int grpc_status)
{
    static const enum trib_status from_grpc[] = {
        [0] = TRIB_OK,           [1] = TRIB_CANCELLED,        [2] = TRIB_INTERNAL, /* UNKNOWN */
        [3] = TRIB_INVALID,      [4] = TRIB_TIMEOUT,          [5] = TRIB_NOT_FOUND,
        [6] = TRIB_EXISTS,       [7] = TRIB_DENIED,           [8] = TRIB_LIMIT,
        [9] = TRIB_MISMATCH,     [10] = TRIB_UNAVAILABLE, /* ABORTED */
        [11] = TRIB_INVALID,                              /* OUT_OF_RANGE */
        [12] = TRIB_UNSUPPORTED, [13] = TRIB_INTERNAL,        [14] = TRIB_UNAVAILABLE,
        [15] = TRIB_CORRUPT,     [16] = TRIB_UNAUTHENTICATED,
    };
    if (grpc_status < 0 || (size_t)grpc_status >= sizeof from_grpc / sizeof from_grpc[0]) {
        return TRIB_INTERNAL;
    }
    return from_grpc[grpc_status];
}

/* Add text to a message, as much as fits. */
static void append(char message[TRIB_ERROR_MESSAGE_LEN], const char *text)
{
    size_t used = strlen(message);
    size_t room = TRIB_ERROR_MESSAGE_LEN - 1 - used;
    size_t len = strnlen(text, room);
    memcpy(message + used, text, len);
    message[used + len] = '\0';
}

static void write_record(struct trib_error *error, enum trib_status status, const char *origin, const char *message)
{
    error->status = status;
    error->origin = origin;
    snprintf(error->message, sizeof error->message, "%s", message);
}

/* Messages are formatted aside first: an argument may be the record's own text. */
enum trib_status trib_error_set(struct trib_error *error, enum trib_status status, const char *origin,
                                const char *format, ...)
{
    if (error) {
        char message[TRIB_ERROR_MESSAGE_LEN];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(message, sizeof message, format, arguments);
        va_end(arguments);
        write_record(error, status, origin, message);
    }
    return status;
}

enum trib_status trib_error_prefix(struct trib_error *error, enum trib_status status, const char *format, ...)
{
    if (error && status != TRIB_OK) {
        char message[TRIB_ERROR_MESSAGE_LEN];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(message, sizeof message, format, arguments);
        va_end(arguments);
        append(message, ": ");
        append(message, error->message);
        memcpy(error->message, message, sizeof message);
        error->status = status;
    }
    return status;
}

static enum trib_status status_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return TRIB_NO_SPACE;
    case ENOMEM:
        return TRIB_NO_MEMORY;
    case ENOENT:
        return TRIB_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return TRIB_DENIED;
    case EEXIST:
        return TRIB_EXISTS;
    default:
        return TRIB_IO;
    }
}

enum trib_status trib_error_set_errno(struct trib_error *error, int errnum, const char *origin, const char *format, ...)
{
    enum trib_status status = status_of_errno(errnum);
    if (error) {
        char message[TRIB_ERROR_MESSAGE_LEN];
        char reason[128];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(message, sizeof message, format, arguments);
        va_end(arguments);
        append(message, ": ");
        append(message, strerror_r(errnum, reason, sizeof reason));
        write_record(error, status, origin, message);
    }
    return status;
}
