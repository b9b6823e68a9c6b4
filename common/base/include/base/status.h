/* Status codes and the error record that travels with them.
 *
 * One table gives each code its name, its text, the gRPC status it becomes on the wire, the exit code of a
 * program that ends with it, and whether trying again may help. Any thread; no allocation. */
#ifndef TRIB_BASE_STATUS_H
#define TRIB_BASE_STATUS_H

#include <stdarg.h>
#include <stdbool.h>

/*    code             name               gRPC exit retry text */
#define TRIB_STATUS_TABLE(X)                                                                                           \
    X(OK, "ok", 0, 0, false, "success")                                                                                \
    X(NO_MEMORY, "no_memory", 8, 71, true, "out of memory")                                                            \
    X(INVALID, "invalid", 3, 64, false, "invalid argument")                                                            \
    X(CONFIG, "config", 3, 78, false, "invalid configuration")                                                         \
    X(IO, "io", 13, 74, true, "input/output error")                                                                    \
    X(NO_SPACE, "no_space", 8, 73, true, "no space left on the device")                                                \
    X(NOT_FOUND, "not_found", 5, 66, false, "not found")                                                               \
    X(EXISTS, "exists", 6, 73, false, "already exists")                                                                \
    X(CORRUPT, "corrupt", 15, 65, false, "corrupt data")                                                               \
    X(MISMATCH, "mismatch", 9, 65, false, "does not match")                                                            \
    X(NOT_FINITE, "not_finite", 3, 65, false, "not a finite number")                                                   \
    X(UNSUPPORTED, "unsupported", 12, 69, false, "not supported")                                                      \
    X(LIMIT, "limit", 8, 69, false, "over a limit")                                                                    \
    X(DENIED, "denied", 7, 77, false, "permission denied")                                                             \
    X(UNAUTHENTICATED, "unauthenticated", 16, 77, false, "not authenticated")                                          \
    X(PROTOCOL, "protocol", 3, 76, false, "protocol violation")                                                        \
    X(UNAVAILABLE, "unavailable", 14, 69, true, "unavailable")                                                         \
    X(TIMEOUT, "timeout", 4, 75, true, "timed out")                                                                    \
    X(CANCELLED, "cancelled", 1, 75, true, "cancelled")                                                                \
    X(INTERNAL, "internal", 13, 70, false, "internal error")

enum trib_status {
#define TRIB_STATUS_ENUM(code, ...) TRIB_##code,
    TRIB_STATUS_TABLE(TRIB_STATUS_ENUM)
#undef TRIB_STATUS_ENUM
        TRIB_STATUS_COUNT
};

#define TRIB_MUST_CHECK                  __attribute__((warn_unused_result))
#define TRIB_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

const char *trib_status_name(enum trib_status status);
const char *trib_status_text(enum trib_status status);
int trib_status_to_grpc(enum trib_status status);
enum trib_status trib_status_from_grpc(int grpc_status);
int trib_status_exit_code(enum trib_status status);
bool trib_status_may_retry(enum trib_status status);

enum { TRIB_ERROR_MESSAGE_LEN = 512 };

/* Where and why a call failed. Written only on failure, by the function that found the fault; callers pass it
 * on and may add a prefix. A NULL record is allowed everywhere: the status alone is then returned. */
struct trib_error {
    enum trib_status status;
    const char *origin; /* "file.c:123", static storage */
    char message[TRIB_ERROR_MESSAGE_LEN];
};

/* Fill `error` (may be NULL) and return `status`. Use through trib_fail, which adds the origin. */
enum trib_status trib_error_set(struct trib_error *error, enum trib_status status, const char *origin,
                                const char *format, ...) TRIB_PRINTF(4, 5);
/* Put "prefix: " before the message that is already there; returns `status`, so that it can end a call. */
enum trib_status trib_error_prefix(struct trib_error *error, enum trib_status status, const char *format, ...)
    TRIB_PRINTF(3, 4);
/* The same for an errno value: maps ENOSPC/EDQUOT, ENOMEM, ENOENT, EACCES/EPERM, EEXIST to their codes and adds
 * strerror's text after the message. */
enum trib_status trib_error_set_errno(struct trib_error *error, int errnum, const char *origin, const char *format, ...)
    TRIB_PRINTF(4, 5);

#define TRIB_STRINGIFY_(x)                  #x
#define TRIB_STRINGIFY(x)                   TRIB_STRINGIFY_(x)
#define TRIB_ORIGIN                         __FILE_NAME__ ":" TRIB_STRINGIFY(__LINE__)
#define trib_fail(error, status, ...)       trib_error_set((error), (status), TRIB_ORIGIN, __VA_ARGS__)
#define trib_fail_errno(error, errnum, ...) trib_error_set_errno((error), (errnum), TRIB_ORIGIN, __VA_ARGS__)

/* Return from the calling function when `call` did not give TRIB_OK. For functions that own nothing yet. */
#define TRIB_TRY(call)                                                                                                 \
    do {                                                                                                               \
        enum trib_status try_status_ = (call);                                                                         \
        if (try_status_ != TRIB_OK) {                                                                                  \
            return try_status_;                                                                                        \
        }                                                                                                              \
    } while (0)

#endif
