/* Log lines as a reader of the file sees them. */
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "test_main.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static struct trib_buf content;

static void open_log(enum trib_log_level level, enum trib_log_format format)
{
    snprintf(path, sizeof path, "/tmp/trib-test-log-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    struct trib_log_options options = {.level = level, .format = format, .path = path};
    ck_assert_int_eq(trib_log_open(&options, NULL), TRIB_OK);
}

static const char *logged(void)
{
    ck_assert_int_eq(trib_file_read(path, 10000000, &content, NULL), TRIB_OK);
    return trib_buf_text(&content);
}

static void close_log(void)
{
    trib_log_close();
    unlink(path);
    trib_buf_clear(&content);
}

/* What follows the time in the only line. */
static const char *after_time(const char *end_of_time)
{
    const char *text = strstr(logged(), end_of_time);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(trib_buf_text(&content)[content.len - 1], '\n');
    return text + strlen(end_of_time);
}

START_TEST(a_line_is_logfmt)
{
    open_log(TRIB_LOG_INFO, TRIB_LOG_LOGFMT);
    trib_log(TRIB_LOG_INFO, "round", "committed", TRIB_F_INT("round", 3), TRIB_F_STR("node", "boat-7"),
             TRIB_F_REAL("loss", 0.25), TRIB_F_BOOL("last", true), TRIB_F_STR("none", NULL), TRIB_F_STR("empty", ""),
             TRIB_F_STR("text", "two words"), TRIB_F_STR("null", "null"));
    ck_assert_int_eq(strncmp(logged(), "ts=20", 5), 0);
    ck_assert_str_eq(after_time("Z "), "level=info component=round event=committed round=3 node=boat-7 loss=0.25 "
                                       "last=true none=null empty=\"\" text=\"two words\" null=\"null\"\n");
    close_log();
}
END_TEST

START_TEST(a_line_is_json)
{
    open_log(TRIB_LOG_INFO, TRIB_LOG_JSON);
    trib_log(TRIB_LOG_WARN, "net", "peer", TRIB_F_INT("n", INT64_MIN), TRIB_F_REAL("nan", NAN),
             TRIB_F_REAL("inf", INFINITY), TRIB_F_STR("none", NULL), TRIB_F_BOOL("ok", false),
             TRIB_F_STR("q", "a\"b\\"));
    ck_assert_int_eq(strncmp(logged(), "{\"ts\":\"20", 9), 0);
    ck_assert_str_eq(after_time("Z\","),
                     "\"level\":\"warn\",\"component\":\"net\",\"event\":\"peer\",\"n\":-9223372036854775808,"
                     "\"nan\":null,\"inf\":null,\"none\":null,\"ok\":false,\"q\":\"a\\\"b\\\\\"}\n");
    close_log();
}
END_TEST

START_TEST(nobody_forges_a_line)
{
    open_log(TRIB_LOG_INFO, TRIB_LOG_LOGFMT);
    trib_log(TRIB_LOG_INFO, "net", "peer", TRIB_F_STR("node", "x\nts=1 level=error"), TRIB_F_STR("esc", "\x1b[2J\t"),
             TRIB_F_STR("eq", "a=b"), TRIB_F_STR("bad", "\xff\xc0\x80z"), TRIB_F_STR("good", "fjäll"),
             TRIB_F_STR("bidi", "\xe2\x80\xae"), TRIB_F_STR("c1", "\xc2\x9b"));
    const char *line = after_time("event=peer ");
    ck_assert_str_eq(line, "node=\"x\\nts=1 level=error\" esc=\"\\u001b[2J\\u0009\" eq=\"a=b\" "
                           "bad=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\" good=\"fjäll\" bidi=\"\\u202e\" "
                           "c1=\"\\u009b\"\n");
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    close_log();
}
END_TEST

START_TEST(long_values_are_cut)
{
    static char text[5000];
    open_log(TRIB_LOG_INFO, TRIB_LOG_JSON);
    memset(text, 'y', sizeof text - 1);
    trib_log(TRIB_LOG_INFO, "net", "peer", TRIB_F_STR("text", text), TRIB_F_INT("after", 1));
    const char *line = logged();
    ck_assert_ptr_nonnull(strstr(line, "yyy...\",\"after\":1}\n"));
    ck_assert_uint_lt(strlen(line), 1300);
    close_log();
}
END_TEST

START_TEST(fields_that_do_not_fit_are_dropped_whole)
{
    static char text[1025]; /* each byte takes six when escaped */
    for (int format = TRIB_LOG_LOGFMT; format <= TRIB_LOG_JSON; format++) {
        open_log(TRIB_LOG_INFO, (enum trib_log_format)format);
        memset(text, 1, sizeof text - 1);
        trib_log(TRIB_LOG_INFO, "net", "peer", TRIB_F_STR("a", text), TRIB_F_STR("b", text), TRIB_F_INT("c", 5));
        const char *line = logged();
        ck_assert_uint_lt(content.len, 8193);
        ck_assert_ptr_nonnull(strstr(line, format == TRIB_LOG_JSON ? "0001\",\"c\":5,\"truncated\":true}\n"
                                                                   : "0001\" c=5 truncated=true\n"));
        close_log();
    }
}
END_TEST

START_TEST(levels_filter)
{
    open_log(TRIB_LOG_WARN, TRIB_LOG_LOGFMT);
    ck_assert(trib_log_enabled(TRIB_LOG_ERROR));
    ck_assert(trib_log_enabled(TRIB_LOG_WARN));
    ck_assert(!trib_log_enabled(TRIB_LOG_INFO));
    trib_log(TRIB_LOG_INFO, "a", "b", TRIB_F_INT("c", 1));
    trib_log_fields(TRIB_LOG_DEBUG, "a", "b", NULL, 0);
    ck_assert_str_eq(logged(), "");
    trib_log_fields(TRIB_LOG_ERROR, "a", "b", NULL, 0);
    ck_assert_str_eq(after_time("Z "), "level=error component=a event=b\n");
    close_log();
    enum trib_log_level level = TRIB_LOG_ERROR;
    ck_assert(trib_log_parse_level("debug", &level));
    ck_assert_int_eq(level, TRIB_LOG_DEBUG);
    ck_assert(!trib_log_parse_level("verbose", &level));
    ck_assert_int_eq(level, TRIB_LOG_DEBUG);
}
END_TEST

START_TEST(an_error_record_is_a_line)
{
    struct trib_error error;
    open_log(TRIB_LOG_INFO, TRIB_LOG_LOGFMT);
    trib_fail(&error, TRIB_CORRUPT, "bad frame");
    trib_log_error(TRIB_LOG_ERROR, "wire", "refused", &error, TRIB_F_STR("node", "n1"));
    const char *line = after_time("event=refused ");
    ck_assert_int_eq(strncmp(line, "status=corrupt reason=\"bad frame\" origin=test_log.c:", 51), 0);
    ck_assert_ptr_nonnull(strstr(line, " node=n1\n"));
    close_log();
}
END_TEST

START_TEST(a_rotated_file_is_opened_again)
{
    char moved[80];
    open_log(TRIB_LOG_INFO, TRIB_LOG_LOGFMT);
    snprintf(moved, sizeof moved, "%s.1", path);
    ck_assert_int_eq(rename(path, moved), 0);
    trib_log_fields(TRIB_LOG_INFO, "a", "old", NULL, 0);
    ck_assert(!trib_file_exists(path));
    trib_log_reopen();
    trib_log_fields(TRIB_LOG_INFO, "a", "fresh", NULL, 0);
    ck_assert_str_eq(after_time("Z "), "level=info component=a event=fresh\n");
    unlink(moved);
    close_log();
    trib_log_reopen(); /* standard error cannot be reopened */
}
END_TEST

START_TEST(a_log_that_cannot_be_opened_changes_nothing)
{
    struct trib_error error;
    open_log(TRIB_LOG_INFO, TRIB_LOG_LOGFMT);
    struct trib_log_options wrong = {.level = TRIB_LOG_DEBUG, .path = "/nonexistent/dir/log"};
    ck_assert_int_eq(trib_log_open(&wrong, &error), TRIB_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, "/nonexistent/dir/log: "));
    ck_assert(!trib_log_enabled(TRIB_LOG_DEBUG));
    errno = 1234;
    trib_log_fields(TRIB_LOG_INFO, "a", "still", NULL, 0);
    ck_assert_int_eq(errno, 1234);
    ck_assert_ptr_nonnull(strstr(logged(), "event=still"));
    close_log();
}
END_TEST

enum { THREADS = 4, LINES = 200 };

static void *log_lines(void *argument)
{
    for (int i = 0; i < LINES; i++) {
        trib_log(TRIB_LOG_INFO, "t", "line", TRIB_F_STR("text", argument), TRIB_F_INT("end", 1));
    }
    return NULL;
}

START_TEST(lines_of_threads_do_not_mix)
{
    static char texts[THREADS][600];
    pthread_t threads[THREADS];
    open_log(TRIB_LOG_INFO, TRIB_LOG_LOGFMT);
    for (int i = 0; i < THREADS; i++) {
        memset(texts[i], 'a' + i, sizeof texts[i] - 1);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_lines, texts[i]), 0);
    }
    trib_log_reopen();
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    int lines = 0;
    for (const char *at = logged(); *at != '\0'; lines++) {
        const char *text = strstr(at, "text=");
        const char *end = strchr(at, '\n');
        ck_assert(text && end && text < end);
        ck_assert_uint_eq(strspn(text + 5, (char[2]){text[5], '\0'}), 599);
        ck_assert_int_eq(strncmp(text + 5 + 599, " end=1\n", 7), 0);
        at = end + 1;
    }
    ck_assert_int_eq(lines, THREADS * LINES);
    close_log();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, a_line_is_logfmt);
    tcase_add_test(tests, a_line_is_json);
    tcase_add_test(tests, nobody_forges_a_line);
    tcase_add_test(tests, long_values_are_cut);
    tcase_add_test(tests, fields_that_do_not_fit_are_dropped_whole);
    tcase_add_test(tests, levels_filter);
    tcase_add_test(tests, an_error_record_is_a_line);
    tcase_add_test(tests, a_rotated_file_is_opened_again);
    tcase_add_test(tests, a_log_that_cannot_be_opened_changes_nothing);
    tcase_add_test(tests, lines_of_threads_do_not_mix);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
