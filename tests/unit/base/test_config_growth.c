/* Writing configurations while memory runs out at any byte: every kind of row, lists in maps in lists, and texts of
 * characters that need care. */
#include "base/config.h"
#include "test_growth.h"
#include "test_main.h"

struct settings {
    int64_t number, duration, size;
    double real;
    bool flag;
    int choice;
    char *text, *secret, *path, *absolute;
    const struct trib_config_node *tree;
};

static const char *const choices[] = {"one", "two", NULL};

#define AT(member) TRIB_ROW_AT(struct settings, member)
static const struct trib_config_row rows[] = {
    {.key = "number", .type = TRIB_TYPE_INT, .offset = AT(number), .fallback = "1", .min = 0, .max = 9, .help = "One."},
    {.key = "deep.er.duration",
     .type = TRIB_TYPE_DURATION,
     .offset = AT(duration),
     .min = 1,
     .max = 5000,
     .flags = TRIB_ROW_RELOADABLE | TRIB_ROW_REQUIRED,
     .help = "A help text of so many words that it needs more than a line of a sample file, which are not long."},
    {.key = "deep.er.size",
     .type = TRIB_TYPE_SIZE,
     .offset = AT(size),
     .flags = TRIB_ROW_REQUIRED,
     .max = 1e9,
     .help = "Two."},
    {.key = "deep.real", .type = TRIB_TYPE_REAL, .offset = AT(real), .flags = TRIB_ROW_REQUIRED, .max = 1},
    {.key = "flag", .type = TRIB_TYPE_BOOL, .offset = AT(flag), .flags = TRIB_ROW_REQUIRED},
    {.key = "choice", .type = TRIB_TYPE_ENUM, .offset = AT(choice), .choices = choices, .flags = TRIB_ROW_REQUIRED},
    {.key = "text", .type = TRIB_TYPE_STRING, .offset = AT(text), .flags = TRIB_ROW_REQUIRED, .max = 100},
    {.key = "secret",
     .type = TRIB_TYPE_STRING,
     .offset = AT(secret),
     .flags = TRIB_ROW_REQUIRED | TRIB_ROW_SECRET,
     .max = 8},
    {.key = "path", .type = TRIB_TYPE_PATH, .offset = AT(path), .flags = TRIB_ROW_REQUIRED},
    {.key = "absolute", .type = TRIB_TYPE_PATH, .offset = AT(absolute), .fallback = ""},
    {.key = "tree", .type = TRIB_TYPE_NODE, .offset = AT(tree), .flags = TRIB_ROW_REQUIRED},
};
enum { N = sizeof rows / sizeof rows[0] };

static const char text[] =
    "number: 3\n"
    "deep: {real: 0.25, er: {duration: 90ms, size: 3KiB}}\n"
    "flag: yes\nchoice: two\n"
    "text: \"q\\\" b\\\\ n\\n \\u0001 \\u007f \\u0085 \\u2028 \\u2029 \\ufeff \\U0001f600 \\u00e9\"\n"
    "secret: hush\npath: some/where\nabsolute: /else/where\n"
    "tree:\n  - plain\n  - [1, [], {}, \"a: b\"]\n  - {a: {b: [c, \"\"]}, \"d e\": ~, f: \"x\\ty\"}\n";

static struct trib_error error;

static enum trib_status dump(void *context, struct trib_buf *yaml)
{
    return trib_config_dump(rows, N, context, yaml);
}

static enum trib_status sample(void *context, struct trib_buf *yaml)
{
    return trib_config_sample(rows, N, context, yaml);
}

START_TEST(a_dump_of_everything_reads_back)
{
    struct settings settings = {.number = 0}, again = {.number = 0};
    struct trib_config_node *tree = NULL, *tree_again = NULL;
    struct trib_buf yaml = {.len = 0}, second = {.len = 0};
    ck_assert_msg(trib_config_parse_text("a.yaml", text, sizeof text - 1, &tree, &error) == TRIB_OK, "%s",
                  error.message);
    ck_assert_msg(trib_config_apply(tree, rows, N, &settings, &error) == TRIB_OK, "%s", error.message);
    test_each_growth(dump, &settings, 3);
    ck_assert_int_eq(dump(&settings, &yaml), TRIB_OK);
    ck_assert_msg(trib_config_parse_text("b.yaml", trib_buf_text(&yaml), yaml.len, &tree_again, &error) == TRIB_OK,
                  "%s in %s", error.message, trib_buf_text(&yaml));
    ck_assert_msg(trib_config_apply(tree_again, rows, N, &again, &error) == TRIB_OK, "%s", error.message);
    ck_assert_str_eq(again.text, settings.text);
    ck_assert_int_eq(dump(&again, &second), TRIB_OK);
    ck_assert_str_eq(trib_buf_text(&second), trib_buf_text(&yaml));
    trib_buf_clear(&yaml);
    trib_buf_clear(&second);
    trib_config_clear(rows, N, &settings);
    trib_config_clear(rows, N, &again);
    trib_config_free(tree);
    trib_config_free(tree_again);
}
END_TEST

START_TEST(a_sample_is_written_or_memory_is_short)
{
    static char title[] = "A title.";
    test_each_growth(sample, title, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_growth");
    TCase *tests = tcase_create("config_growth");
    tcase_add_test(tests, a_dump_of_everything_reads_back);
    tcase_add_test(tests, a_sample_is_written_or_memory_is_short);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
