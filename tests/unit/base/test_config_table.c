/* Composed tables: groups, entries with settings of their own, shared keys, former names of keys, lists of names. */
#include "base/config_table.h"
#include "base/mem.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

/* Two entries of a registry; both have a use for pick.explore, each in its own struct. */
struct slow {
    double explore;
    char *word;
};
struct fast {
    int64_t speed;
    double explore;
};
struct disk {
    char *path;
    int64_t size;
};
struct settings {
    int64_t before;
    struct disk local, remote;
    _Alignas(max_align_t) unsigned char room[64];
};

#define EXPLORE(offset) TRIB_ROW("pick.explore", TRIB_TYPE_REAL, offset, "0.5", 0, 1, NULL, 0, "Share of new ones.")
static const struct trib_config_row slow_rows[] = {
    EXPLORE(offsetof(struct slow, explore)),
    TRIB_ROW("pick.word", TRIB_TYPE_STRING, offsetof(struct slow, word), "so", 1, 8, NULL, 0, "A word."),
};
static const struct trib_config_row fast_rows[] = {
    TRIB_ROW("pick.speed", TRIB_TYPE_INT, offsetof(struct fast, speed), "3", 1, 9, NULL, 0, "How fast."),
    EXPLORE(offsetof(struct fast, explore)),
};
static const struct trib_config_group slow_group = {TRIB_GROUP_ROWS(slow_rows), .size = sizeof(struct slow)};
static const struct trib_config_group fast_group = {TRIB_GROUP_ROWS(fast_rows), .size = sizeof(struct fast)};
static const struct trib_config_group plain_group = {.size = 0};

static const char *entry_at(size_t index)
{
    static const char *const names[] = {"slow", "fast", "plain"};
    return index < 3 ? names[index] : NULL;
}

static const struct trib_config_row own_rows[] = {
    TRIB_ROW("before", TRIB_TYPE_INT, offsetof(struct settings, before), "1", 0, 9, NULL, 0, "A number."),
    TRIB_ROW("old.before", TRIB_TYPE_ALIAS, 0, "before", 0, 0, NULL, 0, NULL),
    TRIB_ROW("old.remote", TRIB_TYPE_ALIAS, 0, "remote.path", 0, 0, NULL, 0, NULL),
};
static const struct trib_config_row disk_rows[] = {
    {.key = "path",
     .type = TRIB_TYPE_STRING,
     .offset = offsetof(struct disk, path),
     .fallback = "slow",
     .help = "Where: {names}.",
     .names = entry_at},
    TRIB_ROW("size", TRIB_TYPE_SIZE, offsetof(struct disk, size), "1MiB", 0, 0, NULL, 0, "How much."),
};

static struct trib_config_table table;
static struct settings settings;
static struct trib_config_node *root;
static struct trib_error error;

static void compose(void)
{
    table = (struct trib_config_table){.room_at = offsetof(struct settings, room),
                                       .room_end = offsetof(struct settings, room) + sizeof settings.room};
    trib_config_table_add(&table, NULL, own_rows, 3, 0, NULL);
    trib_config_table_add(&table, "local", disk_rows, 2, offsetof(struct settings, local), NULL);
    trib_config_table_add(&table, "remote", disk_rows, 2, offsetof(struct settings, remote), NULL);
    trib_config_table_place(&table, &slow_group, "slow");
    trib_config_table_place(&table, &fast_group, "fast");
    trib_config_table_place(&table, &plain_group, "plain");
    ck_assert_msg(trib_config_table_check(&table, &error) == TRIB_OK, "%s", error.message);
}

static void clear(void)
{
    trib_config_clear(table.rows, table.n, &settings);
    trib_config_free(root);
    root = NULL;
}

static enum trib_status apply(const char *text)
{
    trib_config_clear(table.rows, table.n, &settings);
    trib_config_free(root);
    root = NULL;
    error.message[0] = '\0';
    ck_assert_int_eq(trib_config_parse_text("some.yaml", text, strlen(text), &root, &error), TRIB_OK);
    return trib_config_apply(root, table.rows, table.n, &settings, &error);
}

static const struct slow *slow(void)
{
    return trib_config_table_settings(&table, &slow_group, &settings);
}

static const struct fast *fast(void)
{
    return trib_config_table_settings(&table, &fast_group, &settings);
}

START_TEST(each_entry_has_its_own_struct)
{
    ck_assert_msg(apply("pick: {explore: 0.25, speed: 7}\nremote: {path: there}\n") == TRIB_OK, "%s", error.message);
    ck_assert_double_eq(slow()->explore, 0.25);
    ck_assert_double_eq(fast()->explore, 0.25);
    ck_assert_int_eq(fast()->speed, 7);
    ck_assert_str_eq(slow()->word, "so");
    ck_assert_str_eq(settings.local.path, "slow");
    ck_assert_str_eq(settings.remote.path, "there");
    ck_assert_ptr_ne(slow(), fast());
    ck_assert_ptr_eq(trib_config_table_settings(&table, &plain_group, &settings), &settings);
    ck_assert_int_eq(trib_config_set(table.rows, table.n, &settings, "pick.explore", "1", "--set", &error), TRIB_OK);
    ck_assert_double_eq(slow()->explore, 1);
    ck_assert_double_eq(fast()->explore, 1);
    ck_assert_int_eq(apply("pick: {explore: 2}\n"), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "some.yaml:1: pick.explore: 2 is above the maximum 1");
}
END_TEST

START_TEST(a_shared_key_is_written_once_with_its_owners)
{
    struct trib_buf yaml = {0};
    ck_assert_int_eq(apply(""), TRIB_OK);
    ck_assert_int_eq(trib_config_dump(table.rows, table.n, &settings, &yaml), TRIB_OK);
    ck_assert_str_eq(trib_buf_text(&yaml), "before: 1\nlocal:\n  path: \"slow\"\n  size: 1MiB\nremote:\n"
                                           "  path: \"slow\"\n  size: 1MiB\npick:\n  explore: 0.5\n  word: \"so\"\n"
                                           "  speed: 3\n");
    trib_buf_clear(&yaml);
    ck_assert_int_eq(trib_config_sample(table.rows, table.n, "t", &yaml), TRIB_OK);
    ck_assert_ptr_nonnull(strstr(trib_buf_text(&yaml), "# slow, fast: Share of new ones."));
    ck_assert_ptr_nonnull(strstr(trib_buf_text(&yaml), "# fast: How fast."));
    ck_assert_ptr_nonnull(strstr(trib_buf_text(&yaml), "# Where: slow, fast or plain. Text."));
    ck_assert_ptr_null(strstr(trib_buf_text(&yaml), "old"));
    trib_buf_clear(&yaml);
}
END_TEST

START_TEST(a_row_may_be_changed_or_left_out)
{
    trib_config_table_row(&table, "before")->fallback = "4";
    trib_config_table_drop(&table, "pick.word");
    ck_assert_int_eq(trib_config_table_check(&table, &error), TRIB_OK);
    ck_assert_int_eq(apply(""), TRIB_OK);
    ck_assert_int_eq(settings.before, 4);
    ck_assert_ptr_null(slow()->word);
    ck_assert_int_eq(apply("pick: {word: a}\n"), TRIB_CONFIG);
    trib_config_table_row(&table, "behind")->fallback = "4";
    ck_assert_int_eq(trib_config_table_check(&table, &error), TRIB_INTERNAL);
    ck_assert_str_eq(error.message, "the table of settings: behind: no row has this key");
}
END_TEST

START_TEST(what_does_not_fit_is_told)
{
    static const struct trib_config_group large = {TRIB_GROUP_ROWS(fast_rows), .size = 33};
    trib_config_table_place(&table, &large, "large");
    ck_assert_int_eq(trib_config_table_check(&table, &error), TRIB_INTERNAL);
    ck_assert_str_eq(error.message, "the table of settings: large: no room for its settings");
    compose();
    static const struct trib_config_row other[] = {
        TRIB_ROW("pick.speed", TRIB_TYPE_INT, 0, "4", 1, 9, NULL, 0, "How fast.")};
    trib_config_table_add(&table, NULL, other, 1, 0, "other");
    ck_assert_int_eq(trib_config_table_check(&table, &error), TRIB_INTERNAL);
    ck_assert_str_eq(error.message, "the table of settings: pick.speed: two rows with this key differ");
    compose();
    for (int i = 0; i < TRIB_TABLE_ROWS; i++) {
        char section[16];
        snprintf(section, sizeof section, "s%d", i);
        trib_config_table_add(&table, section, disk_rows, 1, 0, NULL);
    }
    ck_assert_int_eq(trib_config_table_check(&table, &error), TRIB_INTERNAL);
    ck_assert_uint_eq(table.n, TRIB_TABLE_ROWS);
}
END_TEST

/* ---- former names ---- */

static char hints[512];

static void keep_hint(void *context, const char *text)
{
    (void)context;
    size_t len = strlen(hints);
    snprintf(hints + len, sizeof hints - len, "%s\n", text);
}

static const struct trib_config_source *source(const char *const *overrides, size_t n)
{
    static struct trib_config_source made;
    made = (struct trib_config_source){
        .rows = table.rows, .n_rows = table.n, .maps = {root}, .overrides = overrides, .n_overrides = n};
    return &made;
}

START_TEST(a_former_name_is_taken_with_a_hint)
{
    static const char *const overrides[] = {"old.remote=far"};
    ck_assert_msg(apply("old:\n  before: 7\n") == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(settings.before, 7);
    ck_assert_int_eq(trib_config_override(table.rows, table.n, &settings, overrides, 1, &error), TRIB_OK);
    ck_assert_str_eq(settings.remote.path, "far");
    hints[0] = '\0';
    trib_config_hints(source(overrides, 1), keep_hint, NULL);
    ck_assert_str_eq(hints, "some.yaml:2: old.before is called before now\n"
                            "--set: old.remote is called remote.path now\n");
    trib_config_fail_key(source(overrides, 1), "remote.path", &error, "is far");
    ck_assert_str_eq(error.message, "--set: old.remote: is far");
    trib_config_fail_key(source(overrides, 1), "before", &error, "is 7");
    ck_assert_str_eq(error.message, "some.yaml:2: old.before: is 7");
    trib_config_fail_key(source(NULL, 0), "local.path", &error, "is a default");
    ck_assert_str_eq(error.message, "local.path: is a default");
    hints[0] = '\0';
    ck_assert_int_eq(apply("before: 7\n"), TRIB_OK);
    trib_config_hints(source(NULL, 0), keep_hint, NULL);
    ck_assert_str_eq(hints, "");
}
END_TEST

START_TEST(both_names_are_one_too_many)
{
    static const char *const overrides[] = {"before=3", "old.before=4"};
    ck_assert_int_eq(apply("before: 1\n\nold.before: 2\n"), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "some.yaml:3: old.before: the same as before in line 1: the setting is called "
                                    "before now; remove one of the two");
    ck_assert_int_eq(apply("old: {before: 1}\nbefore: 2\n"), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "some.yaml:2: before: the same as old.before in line 1: the setting is called "
                                    "before now; remove one of the two");
    ck_assert_int_eq(apply("old: {before: 1}\nold.before: 2\n"), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "some.yaml:2: old.before: given twice, nested and with dots");
    ck_assert_int_eq(apply("old: {before: 1}\n"), TRIB_OK);
    ck_assert_int_eq(trib_config_override(table.rows, table.n, &settings, overrides, 2, &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "--set: old.before: the same as --set before: the setting is called before now; "
                                    "give one of the two");
    ck_assert_int_eq(trib_config_override(table.rows, table.n, &settings, overrides, 1, &error), TRIB_OK);
    ck_assert_int_eq(settings.before, 3); /* a command line counts more than a file, whatever the names */
    ck_assert_int_eq(apply("old: {before: 10}\n"), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "some.yaml:1: old.before: 10 is above the maximum 9");
    ck_assert_int_eq(apply("old: {bfore: 10}\n"), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "some.yaml:1: old.bfore: unknown key; did you mean \"before\"?");
}
END_TEST

/* ---- names ---- */

START_TEST(names_come_from_the_list)
{
    char text[64];
    ck_assert_str_eq(trib_config_list_names(entry_at, NULL, text, sizeof text), "slow, fast, plain");
    ck_assert_str_eq(trib_config_list_names(entry_at, "or", text, sizeof text), "slow, fast or plain");
    ck_assert_str_eq(trib_config_list_names(entry_at, NULL, text, 8), "slow, f");
    ck_assert(trib_config_has_name(entry_at, "fast"));
    ck_assert(!trib_config_has_name(entry_at, "fas"));
    ck_assert_int_eq(apply("local:\n  path: fist\n"), TRIB_OK);
    ck_assert_int_eq(trib_config_check_name(source(NULL, 0), "remote.path", entry_at, "slow", &error), TRIB_OK);
    ck_assert_int_eq(trib_config_check_name(source(NULL, 0), "local.path", entry_at, "fist", &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "some.yaml:2: local.path: \"fist\" is not known; did you mean \"fast\"?");
    ck_assert_int_eq(trib_config_check_name(source(NULL, 0), "local.path", entry_at, "zzz", &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "some.yaml:2: local.path: \"zzz\" is not known; it is one of: slow, fast, plain");
}
END_TEST

/* ---- rules ---- */

static enum trib_status check(const char *owner, struct trib_config_rule rule)
{
    error.message[0] = '\0';
    return trib_config_check_rules(table.rows, table.n, &settings, owner, &rule, 1, &error);
}

START_TEST(rules_name_both_keys)
{
    const struct trib_config_rule needs = {TRIB_RULE_NEEDS,
                                           {.key = "pick.speed", .relation = TRIB_ABOVE, .value = "5"},
                                           .says = "{value} wants {key} above 5, not {other}"};
    const struct trib_config_rule forbids = {TRIB_RULE_FORBIDS,
                                             {.key = "pick.speed", .relation = TRIB_NOT_ABOVE, .than = "before"},
                                             .when = {{.key = "local.path", .relation = TRIB_IS, .value = "slow fast"},
                                                      {.key = "local.size", .relation = TRIB_ABOVE, .value = "1000"}},
                                             .at = "pick",
                                             .says = "{word} {other} is {not} above before {value}"};
    ck_assert_int_eq(apply("pick: {speed: 4}\n"), TRIB_OK);
    ck_assert_int_eq(check("local.path", needs), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "local.path: slow wants pick.speed above 5, not 4");
    ck_assert_int_eq(check("before", forbids), TRIB_OK);
    ck_assert_int_eq(apply("pick: {speed: 6}\nbefore: 6\n"), TRIB_OK);
    ck_assert_int_eq(check("local.path", needs), TRIB_OK);
    ck_assert_int_eq(check("before", forbids), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "pick: speed 6 is {not} above before 6");
    ck_assert_int_eq(apply("pick: {speed: 6}\nbefore: 6\nlocal: {path: slowly}\n"), TRIB_OK);
    ck_assert_int_eq(check("before", forbids), TRIB_OK);
    ck_assert_int_eq(apply("pick: {speed: 6}\nbefore: 6\nlocal: {size: 9}\n"), TRIB_OK);
    ck_assert_int_eq(check("before", forbids), TRIB_OK);
}
END_TEST

START_TEST(a_value_that_is_absent_is_an_empty_word)
{
    const struct trib_config_rule needs = {
        TRIB_RULE_NEEDS, {.key = "remote.path", .relation = TRIB_IS_NOT, .value = ""}, .says = "wants {key}"};
    ck_assert_int_eq(apply("remote: {path: \"\"}\n"), TRIB_OK);
    ck_assert_int_eq(check("before", needs), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "before: wants remote.path");
    ck_assert_int_eq(apply("remote: {path: a}\n"), TRIB_OK);
    ck_assert_int_eq(check("before", needs), TRIB_OK);
}
END_TEST

START_TEST(a_rule_about_nothing_is_our_own_mistake)
{
    const struct trib_config_rule unknown = {
        TRIB_RULE_NEEDS, {.key = "speed", .relation = TRIB_ABOVE, .value = "5"}, .says = "-"};
    const struct trib_config_rule wordy = {
        TRIB_RULE_NEEDS, {.key = "local.path", .relation = TRIB_ABOVE, .value = "5"}, .says = "-"};
    ck_assert_int_eq(apply(""), TRIB_OK);
    ck_assert_int_eq(check("before", unknown), TRIB_INTERNAL);
    ck_assert_str_eq(error.message, "a rule of before: speed is no key of that kind");
    ck_assert_int_eq(check("before", wordy), TRIB_INTERNAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_table");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, compose, clear);
    tcase_add_test(tests, each_entry_has_its_own_struct);
    tcase_add_test(tests, a_shared_key_is_written_once_with_its_owners);
    tcase_add_test(tests, a_row_may_be_changed_or_left_out);
    tcase_add_test(tests, what_does_not_fit_is_told);
    tcase_add_test(tests, a_former_name_is_taken_with_a_hint);
    tcase_add_test(tests, both_names_are_one_too_many);
    tcase_add_test(tests, names_come_from_the_list);
    tcase_add_test(tests, rules_name_both_keys);
    tcase_add_test(tests, a_value_that_is_absent_is_an_empty_word);
    tcase_add_test(tests, a_rule_about_nothing_is_our_own_mistake);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
