/* Tables of rows: values, bounds, defaults, messages, dump and sample. */
#include "base/config.h"
#include "base/mem.h"
#include "fail_memory.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct settings {
    int64_t rounds, deadline, budget, offset;
    double fraction;
    bool verbose;
    int strategy;
    char *name, *token, *data, *cache;
    const struct trib_config_node *stages;
};

static const char *const strategies[] = {"fedavg", "fedprox", "scaffold", NULL};

#define AT(member) TRIB_ROW_AT(struct settings, member)
static const struct trib_config_row rows[] = {
    {.key = "rounds",
     .type = TRIB_TYPE_INT,
     .offset = AT(rounds),
     .fallback = "10",
     .min = 1,
     .max = 1000,
     .help = "Rounds to run."},
    {.key = "round.deadline",
     .type = TRIB_TYPE_DURATION,
     .offset = AT(deadline),
     .fallback = "5m",
     .min = 1000,
     .max = 86400000,
     .flags = TRIB_ROW_RELOADABLE,
     .help = "How long clients may take."},
    {.key = "round.cohort.fraction",
     .type = TRIB_TYPE_REAL,
     .offset = AT(fraction),
     .fallback = "0.1",
     .min = 0,
     .max = 1,
     .help = "The part of all clients that is asked."},
    {.key = "memory.budget",
     .type = TRIB_TYPE_SIZE,
     .offset = AT(budget),
     .fallback = "64MiB",
     .min = 1048576,
     .help = "Memory for updates in flight, which is a help text long enough that it has to be broken over more "
             "than one line of the sample file."},
    {.key = "offset",
     .type = TRIB_TYPE_INT,
     .offset = AT(offset),
     .fallback = "-5",
     .min = -10,
     .max = 0,
     .help = "May be negative."},
    {.key = "verbose", .type = TRIB_TYPE_BOOL, .offset = AT(verbose), .fallback = "no", .help = "Say more."},
    {.key = "round.strategy",
     .type = TRIB_TYPE_ENUM,
     .offset = AT(strategy),
     .fallback = "fedavg",
     .choices = strategies,
     .help = "How updates are merged."},
    {.key = "name",
     .type = TRIB_TYPE_STRING,
     .offset = AT(name),
     .min = 1,
     .max = 12,
     .flags = TRIB_ROW_REQUIRED,
     .help = "The federation's name."},
    {.key = "token", .type = TRIB_TYPE_STRING, .offset = AT(token), .flags = TRIB_ROW_SECRET, .help = "Join token."},
    {.key = "data", .type = TRIB_TYPE_PATH, .offset = AT(data), .help = "Where the data is."},
    {.key = "cache", .type = TRIB_TYPE_PATH, .offset = AT(cache), .fallback = "cache/dir", .help = "Where to cache."},
    {.key = "stages", .type = TRIB_TYPE_NODE, .offset = AT(stages), .help = "A list of stages."},
};
static const size_t n = sizeof rows / sizeof rows[0];

static struct settings settings;
static struct trib_config_node *root;
static struct trib_error error;

static enum trib_status apply_named(const char *file, const char *text)
{
    trib_config_clear(rows, n, &settings);
    trib_config_free(root);
    root = NULL;
    ck_assert_int_eq(trib_config_parse_text(file, text, strlen(text), &root, &error), TRIB_OK);
    return trib_config_apply(root, rows, n, &settings, &error);
}

static enum trib_status apply(const char *text)
{
    return apply_named("server.yaml", text);
}

static void clear(void)
{
    trib_config_clear(rows, n, &settings);
    trib_config_free(root);
    root = NULL;
}

static void expect_failure(const char *text, const char *message)
{
    static const struct settings nothing;
    ck_assert_int_eq(apply(text), TRIB_CONFIG);
    ck_assert_str_eq(error.message, message);
    ck_assert_mem_eq(&settings, &nothing, sizeof nothing);
}

START_TEST(defaults_come_first)
{
    ck_assert_int_eq(apply("name: bay\n"), TRIB_OK);
    ck_assert_int_eq(settings.rounds, 10);
    ck_assert_int_eq(settings.deadline, 300000);
    ck_assert_int_eq(settings.budget, 64 << 20);
    ck_assert_int_eq(settings.offset, -5);
    ck_assert_double_eq(settings.fraction, 0.1);
    ck_assert(!settings.verbose);
    ck_assert_int_eq(settings.strategy, 0);
    ck_assert_str_eq(settings.name, "bay");
    ck_assert_ptr_null(settings.token);
    ck_assert_ptr_null(settings.data);
    ck_assert_str_eq(settings.cache, "cache/dir");
    ck_assert_ptr_null(settings.stages);
}
END_TEST

START_TEST(the_file_comes_second)
{
    ck_assert_int_eq(apply("rounds: 0x20\nname: 'bay'\nverbose: on\noffset: 0\ntoken: \"\"\n"
                           "round:\n  deadline: 90s\n  strategy: scaffold\n  cohort: {fraction: 1e-2}\n"
                           "memory: {budget: 2GB}\nstages:\n  - units: 3\n"),
                     TRIB_OK);
    ck_assert_int_eq(settings.rounds, 32);
    ck_assert_int_eq(settings.deadline, 90000);
    ck_assert_int_eq(settings.strategy, 2);
    ck_assert_double_eq(settings.fraction, 0.01);
    ck_assert_int_eq(settings.budget, 2000000000);
    ck_assert_int_eq(settings.offset, 0);
    ck_assert(settings.verbose);
    ck_assert_str_eq(settings.token, "");
    ck_assert_uint_eq(settings.stages->n, 1);
}
END_TEST

START_TEST(sections_may_be_empty_or_dotted)
{
    ck_assert_int_eq(apply("name: x\nround:\nmemory: {}\nstages:\n"), TRIB_OK);
    ck_assert_int_eq(settings.deadline, 300000);
    ck_assert_ptr_null(settings.stages);
    ck_assert_int_eq(apply("name: x\nround.deadline: 2s\n"), TRIB_OK);
    ck_assert_int_eq(settings.deadline, 2000);
    expect_failure("name: x\nround.deadline: 2s\nround: {deadline: 3s}\n",
                   "server.yaml:3: round.deadline: given twice, nested and with dots");
}
END_TEST

START_TEST(unknown_keys_suggest_the_nearest)
{
    expect_failure("name: x\n\nrouns: 3\n", "server.yaml:3: rouns: unknown key; did you mean \"rounds\"?");
    expect_failure("round:\n  dedline: 3s\n",
                   "server.yaml:2: round.dedline: unknown key; did you mean \"round.deadline\"?");
    expect_failure("ruond:\n  deadline: 3s\n", "server.yaml:1: ruond: unknown key; did you mean \"round\"?");
    expect_failure("fraction: 3\n", "server.yaml:1: fraction: unknown key; did you mean \"round.cohort.fraction\"?");
    expect_failure("round: {cohort: {fractoin: 1}}\n",
                   "server.yaml:1: round.cohort.fractoin: unknown key; did you mean \"round.cohort.fraction\"?");
    expect_failure("completely: 3\n", "server.yaml:1: completely: unknown key");
}
END_TEST

START_TEST(bounds_are_told_with_their_units)
{
    expect_failure("name: x\nrounds: 0\n", "server.yaml:2: rounds: 0 is below the minimum 1");
    expect_failure("rounds: 1001\n", "server.yaml:1: rounds: 1001 is above the maximum 1000");
    expect_failure("offset: 1\n", "server.yaml:1: offset: 1 is above the maximum 0");
    expect_failure("round: {deadline: 500ms}\n", "server.yaml:1: round.deadline: 500ms is below the minimum 1s");
    expect_failure("round: {deadline: 25h}\n", "server.yaml:1: round.deadline: 25h is above the maximum 1d");
    expect_failure("memory: {budget: 64KB}\n", "server.yaml:1: memory.budget: 64KB is below the minimum 1MiB");
    expect_failure("round: {cohort: {fraction: 1.5}}\n",
                   "server.yaml:1: round.cohort.fraction: 1.5 is above the maximum 1");
    expect_failure("name: more-than-twelve\n", "server.yaml:1: name: is 16 bytes long, above the maximum 12");
    expect_failure("name: ''\n", "server.yaml:1: name: must not be empty");
}
END_TEST

START_TEST(wrong_types_are_told)
{
    expect_failure("rounds: ten\n", "server.yaml:1: rounds: \"ten\" is not a whole number");
    expect_failure("rounds: [1]\n", "server.yaml:1: rounds: must be a single value, not a list");
    expect_failure("rounds: {a: 1}\n", "server.yaml:1: rounds: must be a single value, not a map");
    expect_failure("rounds:\n", "server.yaml:1: rounds: has no value; give one or remove the line");
    expect_failure("verbose: maybe\n", "server.yaml:1: verbose: \"maybe\" is not true or false");
    expect_failure("round: 5\n", "server.yaml:1: round: must be a map of keys, indented below it");
    expect_failure("round: [5]\n", "server.yaml:1: round: must be a map of keys, indented below it");
    expect_failure("stages: 5\n", "server.yaml:1: stages: must be a list or a map, not a single value");
    expect_failure("round: {strategy: fedavq}\n",
                   "server.yaml:1: round.strategy: \"fedavq\" is not known; did you mean \"fedavg\"? It is one of: "
                   "fedavg, fedprox, scaffold");
    expect_failure("round: {strategy: magic}\n", "server.yaml:1: round.strategy: \"magic\" is not known; it is one of: "
                                                 "fedavg, fedprox, scaffold");
    ck_assert_int_eq(apply("round: {deadline: 10}\n"), TRIB_CONFIG);
    ck_assert_ptr_eq(strstr(error.message, "server.yaml:1: round.deadline: \"10\" is not a duration"), error.message);
}
END_TEST

START_TEST(required_keys_are_missed)
{
    expect_failure("rounds: 3\n", "server.yaml:1: name: is required but missing (The federation's name.)");
}
END_TEST

START_TEST(paths_are_taken_from_the_files_directory)
{
    ck_assert_int_eq(apply_named("/etc/trib/server.yaml", "name: x\ndata: sub/d\n"), TRIB_OK);
    ck_assert_str_eq(settings.data, "/etc/trib/sub/d");
    ck_assert_str_eq(settings.cache, "/etc/trib/cache/dir");
    ck_assert_int_eq(apply_named("conf/server.yaml", "name: x\ndata: d\ncache: /var/c\n"), TRIB_OK);
    ck_assert_str_eq(settings.data, "conf/d");
    ck_assert_str_eq(settings.cache, "/var/c");
}
END_TEST

START_TEST(values_are_set_one_by_one)
{
    ck_assert_int_eq(apply_named("/etc/server.yaml", "name: x\n"), TRIB_OK);
    ck_assert_int_eq(trib_config_set(rows, n, &settings, "round.deadline", "7s", "--set", &error), TRIB_OK);
    ck_assert_int_eq(settings.deadline, 7000);
    ck_assert_int_eq(trib_config_set(rows, n, &settings, "data", "here", "--set", &error), TRIB_OK);
    ck_assert_str_eq(settings.data, "here");
    ck_assert_int_eq(trib_config_set(rows, n, &settings, "name", "other", "--set", &error), TRIB_OK);
    ck_assert_str_eq(settings.name, "other");
    ck_assert_int_eq(trib_config_set(rows, n, &settings, "name", "", "--set", &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "--set: name: must not be empty");
    ck_assert_str_eq(settings.name, "other");
    ck_assert_int_eq(trib_config_set(rows, n, &settings, "rounds", "0", "--set", &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "--set: rounds: 0 is below the minimum 1");
    ck_assert_int_eq(settings.rounds, 10);
    ck_assert_int_eq(trib_config_set(rows, n, &settings, "round.dedline", "1", "--set", &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "--set: round.dedline: unknown key; did you mean \"round.deadline\"?");
    ck_assert_int_eq(trib_config_set(rows, n, &settings, "zzzzz", "1", "--set", &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "--set: zzzzz: unknown key");
    ck_assert_int_eq(trib_config_set(rows, n, &settings, "stages", "[]", "--set", &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "--set: stages: must be a list or a map, in the configuration file");
    ck_assert_int_eq(trib_config_set(rows, n, &settings, "name", "\xff", "--set", &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "--set: name: is not UTF-8 text (byte 1)");
}
END_TEST

START_TEST(overrides_are_set_in_order)
{
    static const char *const good[] = {"round.deadline=7s", "name=other", "round.deadline=8s"}, *const bad[] = {"name"};
    ck_assert_int_eq(apply_named("/etc/server.yaml", "name: x\n"), TRIB_OK);
    ck_assert_int_eq(trib_config_override(rows, n, &settings, good, 3, &error), TRIB_OK);
    ck_assert_int_eq(settings.deadline, 8000);
    ck_assert_int_eq(trib_config_override(rows, n, &settings, bad, 1, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "--set name: write it as KEY=VALUE");
    ck_assert(trib_config_is_overridden(good, 3, "name") && !trib_config_is_overridden(good, 3, "nam"));
    ck_assert(!trib_config_is_overridden(good, 3, "names") && !trib_config_is_overridden(bad, 1, "name"));
}
END_TEST

START_TEST(a_map_inside_a_list_shows_its_place)
{
    ck_assert_int_eq(apply("name: x\nstages:\n  - rounds: 5\n    name: in\n  - rounds: 0\n"), TRIB_OK);
    struct settings inner = {0};
    const struct trib_config_node *first = settings.stages->first;
    ck_assert_int_eq(trib_config_apply(first, rows, n, &inner, &error), TRIB_OK);
    ck_assert_int_eq(inner.rounds, 5);
    trib_config_clear(rows, n, &inner);
    ck_assert_int_eq(trib_config_apply(first->next, rows, n, &inner, &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "server.yaml:5: stages[1].rounds: 0 is below the minimum 1");
    ck_assert_int_eq(trib_config_set(rows, n, &inner, "rounds", "3", "--set", &error), TRIB_OK);
    ck_assert_int_eq(trib_config_apply(trib_config_child(first, "rounds"), rows, n, &inner, &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "server.yaml:3: stages[0].rounds: must be a map of keys");
}
END_TEST

static void expect_same(const struct settings *a, const struct settings *b)
{
    ck_assert_int_eq(a->rounds, b->rounds);
    ck_assert_int_eq(a->deadline, b->deadline);
    ck_assert_int_eq(a->budget, b->budget);
    ck_assert_int_eq(a->offset, b->offset);
    ck_assert(a->fraction == b->fraction);
    ck_assert_int_eq(a->verbose, b->verbose);
    ck_assert_int_eq(a->strategy, b->strategy);
    ck_assert_str_eq(a->name, b->name);
    ck_assert_str_eq(a->data, b->data);
    ck_assert_str_eq(a->cache, b->cache);
    ck_assert_int_eq(!a->token, !b->token);
    ck_assert_int_eq(!a->stages, !b->stages);
}

START_TEST(a_dump_parses_back)
{
    struct trib_buf first = {0}, second = {0};
    ck_assert_int_eq(apply_named("/etc/server.yaml",
                                 "name: \"q\\\"\\\\ \\e\\u0085\\u2028ä\"\nrounds: 7\nverbose: true\ntoken: hush\n"
                                 "data: \"/d/\\tline\\nend \\U0001F30A\"\nround: {deadline: 90500ms, cohort: "
                                 "{fraction: 0.30000000000000004}}\nmemory: {budget: 1234567}\n"
                                 "stages:\n  - {units: 3, act: relu, 'odd key': [a, [b, []], {}, '']}\n"
                                 "  - text: |\n      two\n      lines\n  - plain: it's fine\n    none:\n"),
                     TRIB_OK);
    ck_assert_int_eq(trib_config_dump(rows, n, &settings, &first), TRIB_OK);
    ck_assert_ptr_null(strstr(trib_buf_text(&first), "hush"));
    struct trib_config_node *again = NULL;
    struct settings back = {0};
    ck_assert_int_eq(trib_config_parse_text("dump.yaml", trib_buf_text(&first), first.len, &again, &error), TRIB_OK);
    ck_assert_int_eq(trib_config_apply(again, rows, n, &back, &error), TRIB_OK);
    expect_same(&settings, &back);
    ck_assert_str_eq(back.token, "***");
    ck_assert_uint_eq(back.stages->n, 3);
    ck_assert_str_eq(trib_config_child(back.stages->first->next, "text")->scalar, "two\nlines\n");
    ck_assert_int_eq(trib_config_dump(rows, n, &back, &second), TRIB_OK);
    ck_assert_str_eq(trib_buf_text(&first), trib_buf_text(&second));
    trib_config_clear(rows, n, &back);
    trib_config_free(again);
    trib_buf_clear(&first);
    trib_buf_clear(&second);
}
END_TEST

START_TEST(a_dump_nests_and_groups)
{
    struct trib_buf yaml = {0};
    ck_assert_int_eq(apply_named("/c/server.yaml", "name: x\nstages: [{a: 1}, b]\n"), TRIB_OK);
    ck_assert_int_eq(trib_config_dump(rows, n, &settings, &yaml), TRIB_OK);
    ck_assert_str_eq(trib_buf_text(&yaml), "rounds: 10\n"
                                           "round:\n"
                                           "  deadline: 5m\n"
                                           "  cohort:\n"
                                           "    fraction: 0.1\n"
                                           "  strategy: fedavg\n"
                                           "memory:\n"
                                           "  budget: 64MiB\n"
                                           "offset: -5\n"
                                           "verbose: false\n"
                                           "name: \"x\"\n"
                                           "cache: \"/c/cache/dir\"\n"
                                           "stages:\n"
                                           "  -\n"
                                           "    a: 1\n"
                                           "  - b\n");
    trib_buf_clear(&yaml);
}
END_TEST

START_TEST(a_dump_makes_paths_absolute)
{
    struct trib_buf yaml = {0};
    char here[1000], expected[1100];
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(expected, sizeof expected, "data: \"%s/d\"\n", here);
    ck_assert_int_eq(apply("name: x\ndata: d\n"), TRIB_OK);
    ck_assert_int_eq(trib_config_dump(rows, n, &settings, &yaml), TRIB_OK);
    ck_assert_ptr_nonnull(strstr(trib_buf_text(&yaml), expected));
    trib_buf_clear(&yaml);
}
END_TEST

/* Uncomment the keys: every line whose "# " is followed by a word with a colon at once. */
static void uncomment(struct trib_buf *yaml)
{
    char *text = (char *)yaml->data;
    for (char *line = text; line && *line != '\0';) {
        char *hash = line + strspn(line, " ");
        size_t word = hash[0] == '#' ? strspn(hash + 2, "abcdefghijklmnopqrstuvwxyz_") : 0;
        if (word > 0 && hash[2 + word] == ':') {
            memmove(hash, hash + 2, strlen(hash + 2) + 1);
        }
        line = strchr(line, '\n');
        line = !line ? NULL : line + 1;
    }
    yaml->len = strlen(text);
}

START_TEST(a_sample_is_valid_commented_and_uncommented)
{
    struct trib_buf yaml = {0};
    ck_assert_int_eq(trib_config_sample(rows, n, "The server's configuration.", &yaml), TRIB_OK);
    const char *text = trib_buf_text(&yaml);
    ck_assert_ptr_eq(strstr(text, "# The server's configuration.\n\n# Rounds to run. A whole number, 1 to 1000. "
                                  "Default: 10.\n# rounds: 10\n\nround:\n  # How long clients may take. A duration "
                                  "(ms, s, m, h, d), 1s to 1d."),
                     text);
    ck_assert_ptr_nonnull(strstr(text, "\nname: CHANGE_ME\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n# stages: []\n"));
    ck_assert_ptr_nonnull(strstr(text, "at least 1MiB."));
    for (const char *line = text; line && *line != '\0';) {
        const char *end = strchr(line, '\n');
        ck_assert_int_le((int)(end - line), 102);
        line = end + 1;
    }
    ck_assert_int_eq(apply(text), TRIB_OK);
    ck_assert_int_eq(settings.deadline, 300000);
    ck_assert_str_eq(settings.name, "CHANGE_ME");
    ck_assert_ptr_null(settings.data);
    uncomment(&yaml);
    ck_assert_int_eq(apply(trib_buf_text(&yaml)), TRIB_OK);
    ck_assert_int_eq(settings.deadline, 300000);
    ck_assert_str_eq(settings.data, "CHANGE_ME");
    ck_assert_ptr_nonnull(settings.stages);
    trib_buf_clear(&yaml);
}
END_TEST

START_TEST(short_memory_leaks_nothing)
{
    struct trib_config_node *tree = NULL;
    static const char text[] = "name: x\ntoken: y\ndata: z\nround: {deadline: 1s}\n";
    ck_assert_int_eq(trib_config_parse_text("/c/s.yaml", text, sizeof text - 1, &tree, &error), TRIB_OK);
    enum trib_status status;
    int64_t nth = 0;
    do {
        static const struct settings nothing;
        struct settings fresh = {0};
        struct trib_buf yaml = {0};
        fail_memory_after(nth++, false);
        status = trib_config_apply(tree, rows, n, &fresh, &error);
        if (status != TRIB_OK) {
            ck_assert_mem_eq(&fresh, &nothing, sizeof nothing);
        } else {
            status = trib_config_set(rows, n, &fresh, "name", "other", "--set", &error);
            ck_assert_str_eq(fresh.name, status == TRIB_OK ? "other" : "x");
        }
        if (status == TRIB_OK) {
            status = trib_config_dump(rows, n, &fresh, &yaml);
        }
        if (status == TRIB_OK) {
            status = trib_config_sample(rows, n, "title", &yaml);
        }
        fail_memory_after(-1, false);
        ck_assert(status == TRIB_OK || status == TRIB_NO_MEMORY);
        trib_buf_clear(&yaml);
        trib_config_clear(rows, n, &fresh);
    } while (status != TRIB_OK);
    ck_assert_int_gt(nth, 10);
    /* a suggestion that cannot be made is left out */
    fail_memory_after(0, true);
    struct settings fresh = {0};
    ck_assert_int_eq(trib_config_set(rows, n, &fresh, "rouns", "1", "--set", &error), TRIB_CONFIG);
    fail_memory_after(-1, false);
    ck_assert_str_eq(error.message, "--set: rouns: unknown key");
    trib_config_free(tree);
}
END_TEST

START_TEST(a_wrong_default_is_our_own_mistake)
{
    const struct trib_config_row wrong[] = {{.key = "a", .type = TRIB_TYPE_INT, .fallback = "x"}};
    struct {
        int64_t a;
    } target = {0};
    ck_assert_int_eq(trib_config_parse_text("s", "", 0, &root, &error), TRIB_OK);
    ck_assert_int_eq(trib_config_apply(root, wrong, 1, &target, &error), TRIB_INTERNAL);
    ck_assert_str_eq(error.message, "default of a: \"x\" is not a whole number");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_rows");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, NULL, clear);
    tcase_add_test(tests, defaults_come_first);
    tcase_add_test(tests, the_file_comes_second);
    tcase_add_test(tests, sections_may_be_empty_or_dotted);
    tcase_add_test(tests, unknown_keys_suggest_the_nearest);
    tcase_add_test(tests, bounds_are_told_with_their_units);
    tcase_add_test(tests, wrong_types_are_told);
    tcase_add_test(tests, required_keys_are_missed);
    tcase_add_test(tests, paths_are_taken_from_the_files_directory);
    tcase_add_test(tests, values_are_set_one_by_one);
    tcase_add_test(tests, overrides_are_set_in_order);
    tcase_add_test(tests, a_map_inside_a_list_shows_its_place);
    tcase_add_test(tests, a_dump_parses_back);
    tcase_add_test(tests, a_dump_nests_and_groups);
    tcase_add_test(tests, a_dump_makes_paths_absolute);
    tcase_add_test(tests, a_sample_is_valid_commented_and_uncommented);
    tcase_add_test(tests, short_memory_leaks_nothing);
    tcase_add_test(tests, a_wrong_default_is_our_own_mistake);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
