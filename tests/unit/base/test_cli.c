/* Command lines: what is accepted, what the messages say, and the help. */
#include "base/cli.h"
#include "base/mem.h"
#include "fail_memory.h"
#include "test_main.h"

#include <string.h>

static bool verbose;
static const char *config;
static int64_t port;
static struct trib_option_list sets;

static const struct trib_option options[] = {
    {.name = "verbose", .letter = 'v', .kind = TRIB_OPTION_FLAG, .value = &verbose, .help = "Say more."},
    {.name = "config",
     .letter = 'c',
     .kind = TRIB_OPTION_STRING,
     .value = &config,
     .placeholder = "FILE",
     .help = "The configuration, which is described at such a length here that the text has to be broken."},
    {.name = "port", .kind = TRIB_OPTION_INT, .value = &port, .min = 1, .max = 65535, .help = "Port."},
    {.name = "set", .kind = TRIB_OPTION_REPEAT, .value = &sets, .placeholder = "KEY=VALUE", .help = "Set one value."},
};
enum { N = sizeof options / sizeof options[0], MOST = 2 };

static const char *operands[MOST];
static size_t n_operands;
static struct trib_error error;

static void reset(void)
{
    verbose = false;
    config = NULL;
    port = 1;
    sets.n = 0;
    n_operands = 77;
}

/* The strings are writable in fact, as argv's are. */
#define PARSE(...) parse((const char *const[]){"program", __VA_ARGS__, NULL})
static enum trib_status parse(const char *const *arguments)
{
    char *argv[100];
    int argc = 0;
    for (; arguments[argc]; argc++) {
        argv[argc] = (char *)arguments[argc];
    }
    reset();
    return trib_cli_parse(argc, argv, options, N, operands, MOST, &n_operands, &error);
}

#define REFUSE(message_, ...)                                                                                          \
    do {                                                                                                               \
        ck_assert_int_eq(PARSE(__VA_ARGS__), TRIB_INVALID);                                                            \
        ck_assert_str_eq(error.message, message_);                                                                     \
        ck_assert(!verbose && !config && port == 1 && sets.n == 0 && n_operands == 77);                                \
    } while (0)

START_TEST(all_forms)
{
    ck_assert_int_eq(PARSE("-v", "--config", "a.yaml", "--port=80", "--set", "x=1", "run", "--set=y=2"), TRIB_OK);
    ck_assert(verbose);
    ck_assert_str_eq(config, "a.yaml");
    ck_assert_int_eq(port, 80);
    ck_assert_uint_eq(sets.n, 2);
    ck_assert_str_eq(sets.values[0], "x=1");
    ck_assert_str_eq(sets.values[1], "y=2");
    ck_assert_uint_eq(n_operands, 1);
    ck_assert_str_eq(operands[0], "run");
    ck_assert_int_eq(PARSE("-c", "-", "-", "--", "-v"), TRIB_OK);
    ck_assert(!verbose);
    ck_assert_str_eq(config, "-");
    ck_assert_uint_eq(n_operands, 2);
    ck_assert_str_eq(operands[1], "-v");
    ck_assert_int_eq(PARSE("--config=", "--port", "1", "--port", "2"), TRIB_OK);
    ck_assert_str_eq(config, "");
    ck_assert_int_eq(port, 2);
    ck_assert_int_eq(parse((const char *const[]){"program", NULL}), TRIB_OK);
    ck_assert_uint_eq(n_operands, 0);
    reset();
    ck_assert_int_eq(trib_cli_parse(0, NULL, options, N, operands, MOST, NULL, &error), TRIB_OK);
}
END_TEST

START_TEST(wrong_command_lines_change_nothing)
{
    REFUSE("--prot: unknown option; did you mean --port?; see --help", "-v", "--prot", "5");
    REFUSE("--cofnig: unknown option; did you mean --config?; see --help", "--cofnig=x");
    REFUSE("-config: unknown option; did you mean --config?; see --help", "-v", "-config", "x");
    REFUSE("--nothing: unknown option; see --help", "--nothing");
    REFUSE("-x: unknown option; see --help", "-c", "a", "-x");
    REFUSE("--port: 70000 is above the maximum 65535", "-v", "--port", "70000");
    REFUSE("--port: \"http\" is not a whole number", "--set", "a=b", "--port=http");
    REFUSE("--config: needs a value (FILE)", "-v", "-c");
    REFUSE("--port: needs a value (VALUE)", "--port");
    REFUSE("--verbose: takes no value", "--verbose=yes");
    REFUSE("c: unexpected argument; see --help", "a", "b", "c");
}
END_TEST

START_TEST(a_list_is_bounded)
{
    const char *arguments[80] = {"program"};
    for (int i = 1; i <= 64; i++) {
        arguments[i] = "--set=a=1";
    }
    ck_assert_int_eq(parse(arguments), TRIB_OK);
    ck_assert_uint_eq(sets.n, 64);
    arguments[65] = "--set=a=1";
    ck_assert_int_eq(parse(arguments), TRIB_INVALID);
    ck_assert_str_eq(error.message, "--set: given more than 64 times");
    ck_assert_uint_eq(sets.n, 0);
}
END_TEST

START_TEST(short_memory_is_told)
{
    for (int64_t nth = 0; nth < 3; nth++) {
        fail_memory_after(nth, false);
        ck_assert_int_eq(PARSE("--prot"), TRIB_NO_MEMORY);
    }
    fail_memory_after(-1, false);
}
END_TEST

START_TEST(help_is_laid_out)
{
    char text[2000] = "";
    FILE *to = fmemopen(text, sizeof text, "w");
    trib_cli_help(to, "program [options]", "Does something.", options, N);
    fclose(to);
    ck_assert_str_eq(text, "Usage: program [options]\n"
                           "\n"
                           "Does something.\n"
                           "\n"
                           "Options:\n"
                           "  -v, --verbose             Say more.\n"
                           "  -c, --config FILE         The configuration, which is described at such a\n"
                           "                            length here that the text has to be broken.\n"
                           "      --port VALUE          Port.\n"
                           "      --set KEY=VALUE       Set one value.\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, all_forms);
    tcase_add_test(tests, wrong_command_lines_change_nothing);
    tcase_add_test(tests, a_list_is_bounded);
    tcase_add_test(tests, short_memory_is_told);
    tcase_add_test(tests, help_is_laid_out);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
