/* server.yaml: defaults, overrides, and what a user reads after a mistake. */
#include "settings/settings.h"

#include "base/file.h"
#include "model/zoo.h"
#include "select/selector.h"
#include "strategy/strategy.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NEEDED                                                                                                         \
    "state_dir: state\ntls: {ca: ca.crt, certificate: /etc/s.crt, key: s.key}\n"                                       \
    "model: {name: mlp, example: [28, 28, 1], classes: 10}\n"

static char dir[64], path[96];
static struct trib_server_settings settings;
static struct trib_error error;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-settings-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/server.yaml", dir);
}

static void clean_up(void)
{
    trib_server_settings_clear(&settings);
    unlink(path);
    rmdir(dir);
}

static enum trib_status load_with(const char *text, const char *const *overrides, size_t n)
{
    ck_assert_int_eq(trib_file_replace(path, text, strlen(text), &error), TRIB_OK);
    trib_server_settings_clear(&settings);
    error.message[0] = 0;
    return trib_server_settings_load(path, overrides, n, &settings, &error);
}

static enum trib_status load(const char *text)
{
    return load_with(text, NULL, 0);
}

/* The message after "FILE". */
static void expect_fault(const char *text, const char *message)
{
    static const struct trib_server_settings nothing;
    ck_assert_msg(load(text) == TRIB_CONFIG, "this was taken: %s", text);
    ck_assert_msg(strncmp(error.message, path, strlen(path)) == 0, "%s", error.message);
    ck_assert_str_eq(error.message + strlen(path), message);
    ck_assert_mem_eq(&settings, &nothing, sizeof nothing);
}

static void expect_fault_starting(const char *text, const char *message)
{
    ck_assert_msg(load(text) == TRIB_CONFIG, "this was taken: %s", text);
    ck_assert_msg(strncmp(error.message + strlen(path), message, strlen(message)) == 0, "%s", error.message);
}

static const char *strategy_at(size_t i)
{
    const struct trib_strategy *const *list;
    return i < trib_strategies(&list) ? list[i]->name : NULL;
}

START_TEST(a_short_file_is_enough)
{
    char expected[128];
    ck_assert_msg(load(NEEDED) == TRIB_OK, "%s", error.message);
    ck_assert_str_eq(settings.listen, "0.0.0.0:7443");
    snprintf(expected, sizeof expected, "%s/state", dir);
    ck_assert_str_eq(settings.state_dir, expected); /* from the file's folder, not from where we were started */
    ck_assert_str_eq(settings.tls.certificate, "/etc/s.crt");
    ck_assert_int_eq(settings.rounds, 10);
    ck_assert_int_eq(settings.min_clients, 2);
    ck_assert_int_eq(settings.deadline_ms, 600000);
    ck_assert_int_eq(settings.idle_timeout_ms, 60000);
    ck_assert_double_eq(settings.over_selection, 1.3);
    ck_assert_str_eq(settings.selector, "random");
    ck_assert_str_eq(settings.strategy, "fedavg");
    ck_assert_str_eq(settings.codec_up, "f32");
    ck_assert_int_eq(settings.log.level, TRIB_LOG_INFO);
    ck_assert_ptr_null(settings.evaluation.path);
    ck_assert_ptr_null(settings.model_layers);
    ck_assert_uint_eq(settings.model_example->n, 3);
    ck_assert_ptr_nonnull(settings.tree);
}
END_TEST

START_TEST(the_file_and_then_the_command_line_count)
{
    static const char *const overrides[] = {"federation.rounds=7", "codec.up=f16", "log.level=debug",
                                            "federation.deadline=90s", "tls.key=here.key"};
    ck_assert_msg(load_with(NEEDED "federation: {rounds: 3, seed: 9}\ncodec: {down: f16}\n", overrides, 5) == TRIB_OK,
                  "%s", error.message);
    ck_assert_int_eq(settings.rounds, 7);
    ck_assert_int_eq(settings.seed, 9);
    ck_assert_str_eq(settings.codec_up, "f16");
    ck_assert_str_eq(settings.codec_down, "f16");
    ck_assert_int_eq(settings.log.level, TRIB_LOG_DEBUG);
    ck_assert_int_eq(settings.deadline_ms, 90000);
    ck_assert_str_eq(settings.tls.key, "here.key");
}
END_TEST

START_TEST(mistakes_are_named_with_their_line)
{
    expect_fault(NEEDED "federation:\n  rouns: 3\n",
                 ":5: federation.rouns: unknown key; did you mean \"federation.rounds\"?");
    expect_fault(NEEDED "federation:\n  rounds: 0\n", ":5: federation.rounds: 0 is below the minimum 1");
    expect_fault(NEEDED "federation:\n  over_selection: 0.5\n",
                 ":5: federation.over_selection: 0.5 is below the minimum 1");
    expect_fault(NEEDED "log:\n  level: loud\n",
                 ":5: log.level: \"loud\" is not known; it is one of: error, warn, info, debug");
    ck_assert_int_eq(load("model: {name: mlp, example: [4], classes: 2}\nstate_dir: x\n"), TRIB_CONFIG);
    ck_assert_msg(strstr(error.message, "tls.ca"), "%s", error.message);
    ck_assert_int_eq(load(NEEDED "federation:\n  deadline: 10\n"), TRIB_CONFIG);
    ck_assert_msg(strstr(error.message, ":5: federation.deadline: "), "%s", error.message);
    ck_assert_int_eq(load("state_dir: [\n"), TRIB_CONFIG);
    ck_assert_int_eq(load(""), TRIB_CONFIG);
}
END_TEST

START_TEST(decisions_that_contradict_each_other_are_named)
{
    expect_fault_starting(NEEDED "relevance: {sketch: 64, threshold: 1.5}\n", ": relevance.threshold: no share");
    expect_fault_starting(NEEDED "relevance: {sketch: 64, threshold: -1}\n", ":4: relevance.threshold: -1 is below");
    expect_fault_starting(NEEDED "relevance: {sketch: 64, share: 2}\n", ":4: relevance.share: 2 is above");
    expect_fault_starting(NEEDED "relevance: {rule: best}\n", ":4: relevance.rule: \"best\" is not known");
    expect_fault_starting(NEEDED "strategy: {name: ef21}\nrelevance: {sketch: 64}\n",
                          ": strategy.name: \"ef21\" sends");
    expect_fault_starting(NEEDED "strategy: {name: ef21}\nfederation: {max_staleness: 1}\n",
                          ": strategy.name: \"ef21\" needs every update in its round");
    expect_fault_starting(NEEDED "federation: {max_staleness: 2}\nrelevance: {sketch: 9, reference: majority}\n",
                          ": relevance.reference: offers for different rounds");
    expect_fault_starting(NEEDED "federation: {buffer: 10}\n", ": federation.buffer: give max_staleness");
    expect_fault_starting(NEEDED "federation: {buffer: 10, max_staleness: 5, clients_per_round: 9}\n",
                          ": federation.buffer: 10 is above clients_per_round 9");
    expect_fault_starting(NEEDED "federation: {buffer: 5, max_staleness: 5}\nrelevance: {sketch: 9, rule: share}\n",
                          ": relevance: with federation.buffer there is no round");
    expect_fault_starting(NEEDED "selection: {tags: ward}\n", "");
    ck_assert_msg(strstr(error.message, "must be a list"), "%s", error.message);
    ck_assert_int_eq(load(NEEDED "selection: {tags: [ward, gpu]}\nrelevance: {sketch: 0, threshold: 1.5}\n"), TRIB_OK);
}
END_TEST

START_TEST(keys_that_contradict_each_other_are_named)
{
    char names[256], message[400];
    trib_config_list_names(trib_selector_names, NULL, names, sizeof names);
    snprintf(message, sizeof message, ": federation.selector: \"rnd\" is unknown; known are %s", names);
    expect_fault(NEEDED "federation: {selector: rnd}\n", message);
    trib_config_list_names(strategy_at, NULL, names, sizeof names);
    snprintf(message, sizeof message, ": strategy.name: \"fedfoo\" is unknown; known are %s", names);
    expect_fault(NEEDED "strategy: {name: fedfoo}\n", message);
    expect_fault_starting(NEEDED "codec: {up: q9}\n", ": codec.up: codec \"q9\" is not known");
    expect_fault_starting(NEEDED "codec: {feedback: fe}\n", ": codec.feedback: error feedback \"fe\" is not known");
    expect_fault_starting(NEEDED "codec: {feedback: ef21}\n",
                          ": codec.feedback: ef21 does not go with strategy.name fedavg");
    expect_fault_starting(NEEDED "strategy: {name: ef21}\ncodec: {feedback: none}\n",
                          ": codec.feedback: none does not go with strategy.name ef21");
    expect_fault_starting(NEEDED "codec: {up: auto, feedback: dgc}\n", ": codec.feedback: dgc is made for sparsifiers");
    expect_fault_starting(NEEDED "codec: {up: f16, warmup_rounds: 3}\n",
                          ": codec.warmup_rounds: codec.up \"f16\" has no share of values");
    expect_fault_starting(NEEDED "codec: {down: f32|sign}\n", ": codec.down: f32 and sign are both a quantiser");
    expect_fault(NEEDED "federation: {clients_per_round: 4, min_updates: 5}\n",
                 ": federation.min_updates: 5 is above clients_per_round 4; no round could ever commit");
    expect_fault(NEEDED "federation: {min_clients: 4, min_updates: 5}\n",
                 ": federation.min_updates: 5 is above min_clients 4; a round could begin that cannot commit");
    expect_fault(NEEDED "federation: {min_clients: 8}\nmax_clients: 5\n",
                 ": max_clients: 5 is below the 8 clients that a round needs (federation.min_clients, min_updates); no "
                 "round could ever begin");
    ck_assert_int_eq(load(NEEDED "federation: {min_clients: 5, min_updates: 5}\nmax_clients: 5\n"), TRIB_OK);
}
END_TEST

START_TEST(a_model_is_given_in_one_way)
{
#define TLS "state_dir: s\ntls: {ca: a, certificate: b, key: c}\n"
    expect_fault(TLS "model: {example: [4], classes: 2}\n", ": model: give exactly one of model.name and model.layers");
    expect_fault(TLS "model: {name: mlp, layers: [{layer: relu}], example: [4], classes: 2}\n",
                 ": model: give exactly one of model.name and model.layers");
    expect_fault(TLS "model: {name: mlp, classes: 2}\n",
                 ": model.example: missing; give the shape of one example, such as [28, 28, 1]");
    ck_assert_int_eq(load(TLS "model: {layers: [{layer: linear, units: 2}], example: [4], classes: 2}\n"), TRIB_OK);
    ck_assert_uint_eq(settings.model_layers->n, 1);
    ck_assert_ptr_null(settings.model_name);
}
END_TEST

START_TEST(overrides_are_checked_like_the_file)
{
    static const struct {
        const char *override, *words;
    } cases[] = {{"federation.rounds", "--set federation.rounds: write it as KEY=VALUE"},
                 {"federation.rounds=0", "federation.rounds: 0 is below the minimum 1"},
                 {"federation.rouns=3", "unknown key; did you mean \"federation.rounds\"?"},
                 {"=3", "--set =3: write it as KEY=VALUE"},
                 {"model.example=[1]", "model.example"},
                 {"codec.up=zip", "codec.up: codec \"zip\" is not known"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(load_with(NEEDED, &cases[i].override, 1) != TRIB_OK, "%s was taken", cases[i].override);
        ck_assert_msg(strstr(error.message, cases[i].words), "%s: %s", cases[i].override, error.message);
    }
}
END_TEST

START_TEST(a_missing_file_is_named)
{
    ck_assert_int_eq(trib_server_settings_load("/nowhere/server.yaml", NULL, 0, &settings, &error), TRIB_NOT_FOUND);
    ck_assert_msg(strstr(error.message, "/nowhere/server.yaml"), "%s", error.message);
}
END_TEST

START_TEST(what_is_dumped_is_read_back)
{
    const struct trib_config_row *rows;
    size_t n = trib_server_rows(&rows);
    struct trib_buf first = {0}, second = {0};
    static const char *const overrides[] = {"federation.deadline=1500ms", "training.learning_rate=0.015625",
                                            "net.lookahead=16MiB", "log.format=json"};
    ck_assert_int_eq(
        load_with(NEEDED "training: {decay: 0.99}\nevaluation: {path: data, labels: l, every: 5}\n", overrides, 4),
        TRIB_OK);
    ck_assert_int_eq(trib_config_dump(rows, n, &settings, &first), TRIB_OK);
    ck_assert_msg(load(trib_buf_text(&first)) == TRIB_OK, "%s in %s", error.message, trib_buf_text(&first));
    ck_assert_int_eq(settings.deadline_ms, 1500);
    ck_assert_double_eq(settings.learning_rate, 0.015625);
    ck_assert_int_eq(settings.net.lookahead_bytes, 16 << 20);
    ck_assert_int_eq(settings.log.format, TRIB_LOG_JSON);
    ck_assert_int_eq(trib_config_dump(rows, n, &settings, &second), TRIB_OK);
    ck_assert_str_eq(trib_buf_text(&first), trib_buf_text(&second));
    trib_buf_clear(&first);
    trib_buf_clear(&second);
}
END_TEST

START_TEST(the_sample_can_be_loaded_once_the_model_is_given)
{
    const struct trib_config_row *rows;
    size_t n = trib_server_rows(&rows);
    struct trib_buf sample = {0};
    ck_assert_int_eq(trib_config_sample(rows, n, "server", &sample), TRIB_OK);
    struct trib_config_node *tree;
    ck_assert_msg(trib_config_parse_text("sample", trib_buf_text(&sample), sample.len, &tree, &error) == TRIB_OK, "%s",
                  error.message);
    trib_config_free(tree);
    for (size_t i = 0; i < n; i++) {
        const char *last = strrchr(rows[i].key, '.');
        ck_assert_msg(strstr(trib_buf_text(&sample), last ? last + 1 : rows[i].key), "%s is missing", rows[i].key);
        ck_assert_str_ne(rows[i].help, "");
    }
    trib_buf_clear(&sample);
}
END_TEST

/* ---- what the registries bring ---- */

static const char *model_at(size_t i)
{
    const struct trib_zoo_entry *const *list;
    return i < trib_zoo(&list) ? list[i]->name : NULL;
}

static const char *gate_rule_at(size_t i)
{
    return i < TRIB_GATE_RULE_COUNT ? trib_gate_rule_name((enum trib_gate_rule)i) : NULL;
}

/* The comment lines above a key in the sample, as one line. */
static void find_comment(const char *sample, const char *section, const char *key, char *to, size_t size)
{
    char mark[64];
    snprintf(mark, sizeof mark, "\n%s:\n", section);
    const char *at = strstr(sample, mark);
    ck_assert_msg(at, "no section %s", section);
    snprintf(mark, sizeof mark, "  # %s: ", key);
    const char *end = strstr(at, mark), *begin = end;
    ck_assert_msg(end, "no key %s.%s", section, key);
    while (begin > at && strncmp(begin - 2, "\n\n", 2) != 0) {
        begin--;
    }
    size_t used = 0;
    for (; begin < end && used + 1 < size; begin++) {
        bool space = strchr(" #\n", *begin);
        if (!space || (used > 0 && to[used - 1] != ' ')) {
            to[used++] = space ? ' ' : *begin;
        }
    }
    to[used] = '\0';
}

START_TEST(names_come_from_the_registries)
{
    static const struct {
        const char *section, *key;
        trib_config_names names;
    } cases[] = {
        {"federation", "selector", trib_selector_names},
        {"strategy", "name", strategy_at},
        {"relevance", "rule", gate_rule_at},
        {"model", "name", model_at},
        {"evaluation", "format", trib_dataset_reader_names},
        {"compute", "backend", trib_compute_names},
    };
    const struct trib_config_row *rows;
    size_t n = trib_server_rows(&rows);
    struct trib_buf sample = {0};
    char comment[1024], word[64];
    ck_assert_int_eq(trib_config_sample(rows, n, "server", &sample), TRIB_OK);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        find_comment(trib_buf_text(&sample), cases[c].section, cases[c].key, comment, sizeof comment);
        ck_assert_ptr_nonnull(cases[c].names(0));
        for (size_t i = 0; cases[c].names(i); i++) {
            snprintf(word, sizeof word, "%s", cases[c].names(i));
            ck_assert_msg(strstr(comment, word), "%s.%s: no %s in: %s", cases[c].section, cases[c].key, word, comment);
        }
    }
    ck_assert_int_eq(load(NEEDED "federation: {selector: zzz}\n"), TRIB_CONFIG);
    for (size_t i = 0; trib_selector_names(i); i++) {
        ck_assert_ptr_nonnull(strstr(error.message, trib_selector_names(i)));
    }
    ck_assert_int_eq(load(NEEDED "strategy: {name: zzz}\n"), TRIB_CONFIG);
    for (size_t i = 0; strategy_at(i); i++) {
        ck_assert_ptr_nonnull(strstr(error.message, strategy_at(i)));
    }
    trib_buf_clear(&sample);
}
END_TEST

static bool has_row(const char *key)
{
    const struct trib_config_row *rows;
    size_t n = trib_server_rows(&rows);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

static void check_condition(const char *name, const struct trib_config_condition *condition)
{
    ck_assert_msg(!condition->key || has_row(condition->key), "%s: %s", name, condition->key);
    ck_assert_msg(!condition->than || has_row(condition->than), "%s: %s", name, condition->than);
}

/* Rows are in the table, rules are about keys that there are, and what they say names the other key. */
static size_t check_group(const char *name, const struct trib_config_group *group, const char *section)
{
    char key[96];
    for (size_t i = 0; i < group->n_rows; i++) {
        snprintf(key, sizeof key, "%s%s%s", section ? section : "", section ? "." : "", group->rows[i].key);
        ck_assert_msg(has_row(key), "%s: %s", name, key);
    }
    for (size_t i = 0; i < group->n_rules; i++) {
        const struct trib_config_rule *rule = &group->rules[i];
        check_condition(name, &rule->other);
        check_condition(name, &rule->when[0]);
        check_condition(name, &rule->when[1]);
        bool named = strstr(rule->says, "{key}") || (rule->at && strcmp(rule->at, rule->other.key) == 0);
        ck_assert_msg(named, "%s: does not name %s: %s", name, rule->other.key, rule->says);
    }
    return group->n_rows + group->n_rules;
}

START_TEST(what_entries_bring_is_about_keys_that_there_are)
{
    const struct trib_selector *const *selectors;
    const struct trib_strategy *const *strategies;
    const struct trib_backend *const *backends;
    const size_t n_selectors = trib_selectors(&selectors), n_strategies = trib_strategies(&strategies);
    const size_t n_backends = trib_backends(&backends);
    size_t met = 0;
    for (size_t i = 0; i < n_selectors; i++) {
        met += check_group(selectors[i]->name, &selectors[i]->settings, NULL);
    }
    for (size_t i = 0; i < n_strategies; i++) {
        met += check_group(strategies[i]->name, &strategies[i]->settings, NULL);
    }
    for (size_t i = 0; i < n_backends; i++) {
        met += check_group(backends[i]->name, &backends[i]->settings, NULL);
    }
    for (int i = 0; i < TRIB_GATE_RULE_COUNT; i++) {
        const struct trib_gate_rule_table *rule = trib_gate_rule_find((enum trib_gate_rule)i);
        met += check_group(rule->name, &rule->settings, "relevance");
    }
    ck_assert_uint_gt(met, 10);
}
END_TEST

/* As the rows of the selector's own struct: two doubles, the first the share of newcomers. */
START_TEST(a_selectors_settings_are_its_own)
{
    const struct trib_selector *oort = trib_selector_find("oort"), *relevance = trib_selector_find("relevance");
    ck_assert_int_eq(load(NEEDED "selection: {explore: 0.25, speed_penalty: 3}\n"), TRIB_OK);
    const double *of_oort = trib_server_group_settings(&settings, &oort->settings);
    const double *of_relevance = trib_server_group_settings(&settings, &relevance->settings);
    ck_assert_ptr_ne(of_oort, of_relevance);
    ck_assert_double_eq(of_oort[0], 0.25);
    ck_assert_double_eq(of_oort[1], 3);
    ck_assert_double_eq(of_relevance[0], 0.25);
    ck_assert_int_eq(load(NEEDED), TRIB_OK);
    ck_assert_double_eq(of_oort[0], 0.9);
    ck_assert_double_eq(of_oort[1], 2);
    ck_assert_double_eq(of_relevance[0], 0.9);
    ck_assert_double_eq(settings.gate.value, 0.5);
    ck_assert_int_eq(settings.gate.rule, TRIB_GATE_CONSTANT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *tcase = tcase_create("settings");
    tcase_add_checked_fixture(tcase, set_up, clean_up);
    tcase_add_test(tcase, a_short_file_is_enough);
    tcase_add_test(tcase, the_file_and_then_the_command_line_count);
    tcase_add_test(tcase, mistakes_are_named_with_their_line);
    tcase_add_test(tcase, decisions_that_contradict_each_other_are_named);
    tcase_add_test(tcase, keys_that_contradict_each_other_are_named);
    tcase_add_test(tcase, a_model_is_given_in_one_way);
    tcase_add_test(tcase, overrides_are_checked_like_the_file);
    tcase_add_test(tcase, a_missing_file_is_named);
    tcase_add_test(tcase, names_come_from_the_registries);
    tcase_add_test(tcase, what_entries_bring_is_about_keys_that_there_are);
    tcase_add_test(tcase, a_selectors_settings_are_its_own);
    tcase_add_test(tcase, what_is_dumped_is_read_back);
    tcase_add_test(tcase, the_sample_can_be_loaded_once_the_model_is_given);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
