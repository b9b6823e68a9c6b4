/* A simulation's file: defaults, variants, overrides, and where a mistake is said to be. */
#include "sim/sim_settings.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

static struct trib_error error;

#define BASE                                                                                                           \
    "data: {format: 'synthetic:1,1'}\n"                                                                                \
    "model: {name: logistic, example: [60], classes: 10}\n"

static enum trib_status parse(const char *text, size_t variant, struct trib_sim_settings *settings)
{
    const struct trib_sim_choice choice = {.variant = variant};
    return trib_sim_settings_parse("sim.yaml", text, strlen(text), &choice, settings, &error);
}

static struct trib_sim_settings load(const char *text, size_t variant)
{
    struct trib_sim_settings settings;
    ck_assert_msg(parse(text, variant, &settings) == TRIB_OK, "%s", error.message);
    return settings;
}

START_TEST(defaults_make_a_federation)
{
    struct trib_sim_settings settings = load(BASE, 0);
    ck_assert_str_eq(settings.variant, "simulation");
    ck_assert_int_eq(settings.clients, 100);
    ck_assert_int_eq(settings.server.min_clients, 100); /* all of them are there */
    ck_assert_int_eq(settings.server.max_clients, 100);
    ck_assert_ptr_null(settings.server.state_dir);
    ck_assert_double_eq(settings.behaviour.speed.a, 1000);
    ck_assert_double_eq(settings.behaviour.on_seconds, 0);
    ck_assert_ptr_nonnull(settings.server.evaluation.path); /* the test split of the same */
    ck_assert_str_eq(settings.server.evaluation.format, "synthetic:1,1");
    ck_assert_str_eq(settings.server.evaluation.split, "test");
    ck_assert_uint_eq(trib_sim_settings_variants(&settings), 1);
    trib_sim_settings_clear(&settings);
}
END_TEST

START_TEST(rows_are_the_servers_and_their_own)
{
    const struct trib_config_row *rows, *servers;
    size_t n = trib_sim_rows(&rows), n_servers = trib_server_rows(&servers), shared = 0;
    bool listens = false;
    for (size_t i = 0; i < n; i++) {
        listens = listens || strcmp(rows[i].key, "listen") == 0 || strncmp(rows[i].key, "tls.", 4) == 0;
        size_t at = 0;
        while (at < n_servers && strcmp(rows[i].key, servers[at].key) != 0) {
            at++;
        }
        shared += at < n_servers;
    }
    ck_assert(!listens);
    ck_assert_uint_gt(shared, 40);
    ck_assert_uint_lt(shared, n_servers);
}
END_TEST

START_TEST(variants_change_keys)
{
    static const char text[] = BASE "federation: {rounds: 7, clients_per_round: 5}\n"
                                    "targets: [0.5, 0.75]\n"
                                    "clients: {availability: '600,300'}\n"
                                    "variants:\n"
                                    "  - name: plain\n"
                                    "  - name: dotted\n"
                                    "    set: {training.proximal_mu: 1, federation.rounds: 3}\n"
                                    "  - name: nested\n"
                                    "    set:\n"
                                    "      training: {proximal_mu: 0.5}\n"
                                    "      clients: {speed: 'uniform:1,2', count: 9}\n"
                                    "  - {name: layers, set: {selection.tags: [a, b]}}\n";
    struct trib_sim_settings plain = load(text, 0), dotted = load(text, 1), nested = load(text, 2);
    struct trib_sim_settings layers = load(text, 3);
    ck_assert_uint_eq(trib_sim_settings_variants(&plain), 4);
    ck_assert_str_eq(plain.variant, "plain");
    ck_assert_int_eq(plain.server.rounds, 7);
    ck_assert_int_eq(plain.server.min_clients, 5); /* they come and go */
    ck_assert_double_eq(plain.behaviour.off_seconds, 300);
    ck_assert_uint_eq(plain.n_targets, 2);
    ck_assert_double_eq(plain.targets[1], 0.75);
    ck_assert_str_eq(dotted.variant, "dotted");
    ck_assert_double_eq(dotted.server.proximal_mu, 1);
    ck_assert_int_eq(dotted.server.rounds, 3);
    ck_assert_double_eq(nested.server.proximal_mu, 0.5);
    ck_assert_int_eq(nested.clients, 9);
    ck_assert_double_eq(nested.behaviour.speed.b, 2);
    ck_assert_uint_eq(layers.server.selection_tags->n, 2);
    trib_sim_settings_clear(&plain);
    trib_sim_settings_clear(&dotted);
    trib_sim_settings_clear(&nested);
    trib_sim_settings_clear(&layers);
}
END_TEST

START_TEST(overrides_count_most)
{
    static const char text[] = BASE "variants: [{name: a, set: {federation.rounds: 3}}]\n";
    static const char *const overrides[] = {"federation.rounds=5", "clients.speed=fixed:0"};
    struct trib_sim_choice choice = {.overrides = overrides, .n_overrides = 1};
    struct trib_sim_settings settings;
    ck_assert_int_eq(trib_sim_settings_parse("sim.yaml", text, strlen(text), &choice, &settings, &error), TRIB_OK);
    ck_assert_int_eq(settings.server.rounds, 5);
    trib_sim_settings_clear(&settings);
    choice.n_overrides = 2;
    ck_assert_int_eq(trib_sim_settings_parse("sim.yaml", text, strlen(text), &choice, &settings, &error), TRIB_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.message, "--set: clients.speed: must be above 0"));
}
END_TEST

START_TEST(mistakes_are_named)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {BASE "clients:\n  speed: fast\n", "sim.yaml:4: clients.speed: \"fast\" is no distribution"},
        {BASE "clients: {upload: 'fixed:0'}\n", "sim.yaml:3: clients.upload: must be above 0"},
        {BASE "clients: {availability: sometimes}\n", "sim.yaml:3: clients.availability: \"sometimes\""},
        {BASE "clients: {availability: '5,-1'}\n", "sim.yaml:3: clients.availability: "},
        {BASE "clients: {dropout: 2}\n", "sim.yaml:3: clients.dropout: 2"},
        {BASE "clients: {stragler_work: drop}\n", "did you mean \"clients.straggler_work\"?"},
        {BASE "clients: {count: 5}\nfederation: {clients_per_round: 6}\n",
         "sim.yaml:4: federation.clients_per_round: 6 is above clients.count 5"},
        {BASE "clients: {count: 5}\nfederation: {min_clients: 6}\n", "sim.yaml:4: federation.min_clients: 6 is above"},
        {BASE "listen: 'x:1'\n", "sim.yaml:3: listen: unknown key"},
        {BASE "targets: 0.5\n", "targets: must be a list"},
        {BASE "targets: [80]\n", "sim.yaml:3: targets[0]: 80"},
        {BASE "targets: [.1, .2, .3, .4, .5, .6, .7, .8, .9]\n", "more than 8 targets"},
        {BASE "variants: []\n", "must be a list of variants"},
        {BASE "variants: [a]\n", "a variant is a map"},
        {BASE "variants: [{set: {}}]\n", "a variant needs a name"},
        {BASE "variants: [{name: a}, {name: a}]\n", "\"a\" is the name of two variants"},
        {BASE "variants: [{name: a, sets: {}}]\n", "unknown key; a variant has name and set"},
        {BASE "variants:\n  - name: a\n    set:\n      training.epoch: 3\n",
         "sim.yaml:6: training.epoch: unknown key; did you mean \"training.epochs\"?"},
        {BASE "variants:\n  - name: a\n    set:\n      training: {epochs: 0}\n", "sim.yaml:6: training.epochs: 0"},
        {BASE "variants:\n  - name: a\n    set:\n      clients.latency: 'fixed:x'\n", "sim.yaml:6: "},
        {BASE "variants: [{name: a, set: {output.json: x}}]\n", "is of the whole experiment"},
        {BASE "variants: [{name: a, set: {training.epochs: [1]}}]\n", "must be a single value"},
        {"model: {name: logistic, example: [60], classes: 10}\n", "data.path: is missing"},
        {"data: {format: 'synthetic:1,1'}\nmodel: {classes: 10}\n", "give exactly one of model.name and model.layers"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trib_sim_settings settings;
        ck_assert_msg(parse(cases[i].text, 0, &settings) == TRIB_CONFIG, "accepted: %s", cases[i].text);
        ck_assert_msg(strstr(error.message, cases[i].says), "%s instead of %s", error.message, cases[i].says);
    }
}
END_TEST

START_TEST(sample_reads_back)
{
    const struct trib_config_row *rows;
    size_t n = trib_sim_rows(&rows);
    struct trib_buf yaml = {0};
    struct trib_sim_settings settings;
    ck_assert_int_eq(trib_config_sample(rows, n, "An experiment.", &yaml), TRIB_OK);
    /* It lacks what only the experimenter can know. */
    ck_assert_int_eq(parse(trib_buf_text(&yaml), 0, &settings), TRIB_CONFIG);
    ck_assert_msg(strstr(error.message, "data.path: is missing"), "%s", error.message);
    trib_buf_clear(&yaml);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_settings");
    TCase *tests = tcase_create("sim_settings");
    tcase_add_test(tests, defaults_make_a_federation);
    tcase_add_test(tests, rows_are_the_servers_and_their_own);
    tcase_add_test(tests, variants_change_keys);
    tcase_add_test(tests, overrides_count_most);
    tcase_add_test(tests, mistakes_are_named);
    tcase_add_test(tests, sample_reads_back);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
