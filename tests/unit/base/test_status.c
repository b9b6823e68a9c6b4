/* The status table and error records. */
#include "base/status.h"
#include "test_main.h"

#include <errno.h>
#include <string.h>

START_TEST(every_code_has_a_distinct_name)
{
    for (int i = 0; i < TRIB_STATUS_COUNT; i++) {
        ck_assert_ptr_nonnull(trib_status_name((enum trib_status)i));
        ck_assert_int_gt((int)strlen(trib_status_text((enum trib_status)i)), 0);
        for (int j = 0; j < i; j++) {
            ck_assert_str_ne(trib_status_name((enum trib_status)i), trib_status_name((enum trib_status)j));
        }
    }
    ck_assert_str_eq(trib_status_name(TRIB_OK), "ok");
    ck_assert_str_eq(trib_status_name((enum trib_status)TRIB_STATUS_COUNT), "internal");
}
END_TEST

START_TEST(only_success_is_zero_outside)
{
    for (int i = 0; i < TRIB_STATUS_COUNT; i++) {
        enum trib_status status = (enum trib_status)i;
        ck_assert_int_eq(trib_status_to_grpc(status) == 0, status == TRIB_OK);
        ck_assert_int_eq(trib_status_exit_code(status) == 0, status == TRIB_OK);
        ck_assert_int_ge(trib_status_to_grpc(status), 0);
        ck_assert_int_le(trib_status_to_grpc(status), 16);
    }
    ck_assert_int_eq(trib_status_exit_code(TRIB_CONFIG), 78);
    ck_assert(trib_status_may_retry(TRIB_UNAVAILABLE));
    ck_assert(!trib_status_may_retry(TRIB_INVALID));
}
END_TEST

START_TEST(grpc_statuses_come_back)
{
    /* What is sent and received may become more general, but then it is stable, and never success. */
    for (int grpc = -2; grpc < 40; grpc++) {
        enum trib_status status = trib_status_from_grpc(grpc);
        ck_assert_int_eq(status == TRIB_OK, grpc == 0);
        ck_assert_int_eq(trib_status_from_grpc(trib_status_to_grpc(status)), status);
    }
    ck_assert_int_eq(trib_status_from_grpc(14), TRIB_UNAVAILABLE);
    ck_assert_int_eq(trib_status_from_grpc(16), TRIB_UNAUTHENTICATED);
}
END_TEST

START_TEST(an_error_takes_message_and_origin)
{
    struct trib_error error = {0};
    ck_assert_int_eq(trib_fail(&error, TRIB_LIMIT, "%d is above %d", 5, 4), TRIB_LIMIT);
    ck_assert_int_eq(error.status, TRIB_LIMIT);
    ck_assert_str_eq(error.message, "5 is above 4");
    ck_assert_ptr_nonnull(strstr(error.origin, "test_status.c:"));
    ck_assert_int_eq(trib_error_prefix(&error, error.status, "round %d", 7), TRIB_LIMIT);
    ck_assert_str_eq(error.message, "round 7: 5 is above 4");
}
END_TEST

START_TEST(a_message_may_quote_the_record_itself)
{
    struct trib_error error = {0};
    trib_fail(&error, TRIB_IO, "inner");
    trib_fail(&error, TRIB_CORRUPT, "outer (%s)", error.message);
    ck_assert_str_eq(error.message, "outer (inner)");
}
END_TEST

START_TEST(long_messages_are_cut)
{
    struct trib_error error = {0};
    char text[2 * TRIB_ERROR_MESSAGE_LEN];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    trib_fail(&error, TRIB_IO, "%s", text);
    ck_assert_uint_eq(strlen(error.message), TRIB_ERROR_MESSAGE_LEN - 1);
    trib_error_prefix(&error, TRIB_IO, "file");
    ck_assert_uint_eq(strlen(error.message), TRIB_ERROR_MESSAGE_LEN - 1);
    ck_assert_int_eq(strncmp(error.message, "file: xxx", 9), 0);
    trib_error_prefix(&error, TRIB_IO, "%s", text);
    ck_assert_uint_eq(strlen(error.message), TRIB_ERROR_MESSAGE_LEN - 1);
}
END_TEST

START_TEST(errno_values_map)
{
    static const struct {
        int errnum;
        enum trib_status status;
    } cases[] = {{ENOSPC, TRIB_NO_SPACE}, {EDQUOT, TRIB_NO_SPACE}, {ENOMEM, TRIB_NO_MEMORY}, {ENOENT, TRIB_NOT_FOUND},
                 {EACCES, TRIB_DENIED},   {EPERM, TRIB_DENIED},    {EEXIST, TRIB_EXISTS},    {EIO, TRIB_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trib_error error = {0};
        ck_assert_int_eq(trib_fail_errno(&error, cases[i].errnum, "disk %d", 1), cases[i].status);
        ck_assert_int_eq(error.status, cases[i].status);
        ck_assert_int_eq(strncmp(error.message, "disk 1: ", 8), 0);
        ck_assert_int_gt((int)strlen(error.message), 8);
    }
}
END_TEST

START_TEST(no_record_is_allowed)
{
    ck_assert_int_eq(trib_fail(NULL, TRIB_IO, "x"), TRIB_IO);
    ck_assert_int_eq(trib_error_prefix(NULL, TRIB_IO, "x"), TRIB_IO);
    ck_assert_int_eq(trib_fail_errno(NULL, ENOSPC, "x"), TRIB_NO_SPACE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("status");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, every_code_has_a_distinct_name);
    tcase_add_test(tests, only_success_is_zero_outside);
    tcase_add_test(tests, grpc_statuses_come_back);
    tcase_add_test(tests, an_error_takes_message_and_origin);
    tcase_add_test(tests, a_message_may_quote_the_record_itself);
    tcase_add_test(tests, long_messages_are_cut);
    tcase_add_test(tests, errno_values_map);
    tcase_add_test(tests, no_record_is_allowed);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
