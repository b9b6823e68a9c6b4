/* client.yaml: what is read, and the messages for what is wrong, with file and line. */
#include "client/client_settings.h"
#include "client/device.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

static const char minimal[] = "server:\n"
                              "  address: fl.example.org:7443\n"
                              "tls: {ca: ca.pem, certificate: node.pem, key: node.key}\n"
                              "data:\n"
                              "  path: data\n";

static enum trib_status parse(const char *text, const char *const *overrides, size_t n,
                              struct trib_client_settings *settings, struct trib_error *error)
{
    return trib_client_settings_parse("client.yaml", text, strlen(text), overrides, n, settings, error);
}

/* The text is refused, and the message has both pieces. */
static void refused(const char *text, const char *where, const char *what)
{
    struct trib_client_settings settings;
    struct trib_error error = {.message = ""};
    ck_assert_int_eq(parse(text, NULL, 0, &settings, &error), TRIB_CONFIG);
    ck_assert_msg(strstr(error.message, where), "no \"%s\" in: %s", where, error.message);
    ck_assert_msg(strstr(error.message, what), "no \"%s\" in: %s", what, error.message);
    ck_assert_ptr_null(settings.tree);
    ck_assert_ptr_null(settings.server_address);
}

static void refused_with(const char *line, const char *where, const char *what)
{
    char text[1024];
    snprintf(text, sizeof text, "%s%s\n", minimal, line);
    refused(text, where, what);
}

START_TEST(a_minimal_file_gets_the_defaults)
{
    struct trib_client_settings settings;
    struct trib_error error = {.message = ""};
    ck_assert_msg(parse(minimal, NULL, 0, &settings, &error) == TRIB_OK, "%s", error.message);
    ck_assert_str_eq(settings.server_address, "fl.example.org:7443");
    ck_assert_ptr_null(settings.server_name);
    ck_assert_str_eq(settings.data.normalise, "unit");
    ck_assert_str_eq(settings.data_partition, "file");
    ck_assert_str_eq(settings.data.split, "train");
    ck_assert_str_eq(settings.compute.backend, "auto");
    ck_assert_int_eq(settings.reconnect_min_ms, 500);
    ck_assert_int_eq(settings.reconnect_max_ms, 60000);
    ck_assert_int_eq(settings.net.keepalive_ms, 30000);
    ck_assert_int_eq(settings.max_memory, 0);
    ck_assert_uint_eq(settings.n_tags, 0);
    ck_assert(!settings.device_metered);
    ck_assert_int_eq(settings.device_battery, TRIB_BATTERY_AUTO);
    trib_client_settings_clear(&settings);
}
END_TEST

START_TEST(every_kind_of_value_is_read)
{
    char text[1024];
    snprintf(text, sizeof text, "%s%s", minimal,
             "  partition: \"shards:2\"\n  clients: 10\n  client: 9\n"
             "tags: [ward-3, gpu]\nnode: boat-7\n"
             "device: {metered: true, battery: no}\n"
             "limits: {max_epochs: 2, max_seconds: 90s, max_memory: 512MiB}\nlog: {level: debug, format: json}\n");
    struct trib_client_settings settings;
    struct trib_error error = {.message = ""};
    ck_assert_msg(parse(text, NULL, 0, &settings, &error) == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(settings.n_tags, 2);
    ck_assert_str_eq(settings.tags[0], "ward-3");
    ck_assert_str_eq(settings.tags[1], "gpu");
    const struct trib_client_limits limits = trib_client_settings_limits(&settings);
    ck_assert_int_eq(limits.max_epochs, 2);
    ck_assert_int_eq(limits.max_ms, 90000);
    ck_assert_int_eq(limits.max_bytes, 512 << 20);
    ck_assert_int_eq(settings.log.level, 3);
    ck_assert_int_eq(settings.log.format, 1);
    ck_assert(settings.device_metered);
    ck_assert_int_eq(settings.device_battery, TRIB_BATTERY_NO);
    trib_client_settings_clear(&settings);
}
END_TEST

START_TEST(overrides_win_and_are_named)
{
    const char *good[] = {"log.level=error", "data.client=3", "data.clients=4"};
    const char *unknown[] = {"log.levle=error"};
    const char *shapeless[] = {"log.level"};
    const char *wrong[] = {"data.clients=0"};
    const char *late[] = {"data.client=7"};
    struct trib_client_settings settings;
    struct trib_error error = {.message = ""};
    ck_assert_msg(parse(minimal, good, 3, &settings, &error) == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(settings.log.level, 0);
    ck_assert_int_eq(settings.data_client, 3);
    trib_client_settings_clear(&settings);
    ck_assert_int_eq(parse(minimal, unknown, 1, &settings, &error), TRIB_CONFIG);
    ck_assert_msg(strstr(error.message, "--set: log.levle: unknown key; did you mean \"log.level\"?"), "%s",
                  error.message);
    ck_assert_int_eq(parse(minimal, shapeless, 1, &settings, &error), TRIB_INVALID);
    ck_assert_msg(strstr(error.message, "write it as KEY=VALUE"), "%s", error.message);
    ck_assert_int_eq(parse(minimal, wrong, 1, &settings, &error), TRIB_CONFIG);
    ck_assert_msg(strstr(error.message, "data.clients"), "%s", error.message);
    ck_assert_int_eq(parse(minimal, late, 1, &settings, &error), TRIB_CONFIG); /* not the file's line */
    ck_assert_msg(strstr(error.message, "--set: data.client: 7 is not below"), "%s", error.message);
}
END_TEST

START_TEST(mistakes_are_named_with_their_line)
{
    refused_with("data2: 1", "client.yaml:6", "unknown key");
    refused_with("  clients: 4\n  client: 4", "client.yaml:7: data.client", "is not below data.clients 4");
    refused_with("  client: 1", "client.yaml:6: data.client", "is not below data.clients 1");
    refused_with("  format: idz", "client.yaml:6: data.format", "did you mean \"idx\"?");
    refused_with("  partition: shard:2", "client.yaml:6: data.partition", "did you mean \"shards\"?");
    refused_with("  classes: ten", "client.yaml:6: data.classes", "ten");
    refused_with("training: {backend: blast}", "client.yaml:6: training.backend", "did you mean \"blas\"?");
    refused_with("training:\n  threads: -1", "client.yaml:7: training.threads", "below the minimum 0");
    refused_with("compute: {backend: zzz}", "client.yaml:6: compute.backend", "blas, reference");
    refused_with("reconnect: {min: 10s, max: 5s}", "client.yaml:6: reconnect.max", "below reconnect.min");
    refused_with("reconnect: {min: 10}", "client.yaml:6: reconnect.min", "not a duration");
    refused_with("net: {keepalive: 1s}", "client.yaml:6: net.keepalive", "below the minimum 5s");
    refused_with("log:\n  level: loud", "client.yaml:7: log.level", "error, warn, info, debug");
    refused_with("device: {battery: maybe}", "client.yaml:6: device.battery", "auto, no, yes");
    refused_with("device:\n  metered: 2", "client.yaml:7: device.metered", "");
    refused_with("tags: [\"\"]", "client.yaml:6: tags", "each tag is a word");
    refused_with("tags: {a: b}", "client.yaml:6: tags", "list of at most");
    refused_with("tags: ward-3", "client.yaml:6: tags", "list");
}
END_TEST

START_TEST(what_is_required_is_asked_for)
{
    refused("tls: {ca: a, certificate: b, key: c}\ndata: {path: d}\n", "client.yaml", "server.address");
    refused("server: {address: \"a:1\"}\ntls: {ca: a, certificate: b}\ndata: {path: d}\n", "client.yaml", "tls.key");
    refused("server: {address: \"a:1\"}\ntls: {ca: a, certificate: b, key: c}\n", "client.yaml", "data.path");
    refused("server: {address: example.org}\ntls: {ca: a, certificate: b, key: c}\ndata: {path: d}\n",
            "client.yaml:1: server.address", "is not HOST:PORT");
}
END_TEST

START_TEST(the_sample_names_every_key)
{
    const struct trib_config_row *rows;
    size_t n = trib_client_rows(&rows);
    struct trib_buf yaml = {0};
    ck_assert_int_eq(trib_config_sample(rows, n, "client", &yaml), TRIB_OK);
    for (size_t i = 0; i < n; i++) {
        const char *dot = strchr(rows[i].key, '.');
        const char *last = !dot ? rows[i].key : dot + 1;
        if (rows[i].type == TRIB_TYPE_ALIAS) {
            continue;
        }
        ck_assert_msg(strstr(trib_buf_text(&yaml), last), "%s is missing", rows[i].key);
        ck_assert_ptr_nonnull(rows[i].help);
    }
    ck_assert_ptr_null(strstr(trib_buf_text(&yaml), "\ntraining"));
    trib_buf_clear(&yaml);
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

START_TEST(former_names_are_taken_with_a_hint)
{
    char text[1024];
    const char *overrides[] = {"training.threads=2"};
    struct trib_client_settings settings;
    struct trib_error error = {.message = ""};
    snprintf(text, sizeof text, "%straining:\n  backend: reference\n  threads: 3\n", minimal);
    ck_assert_msg(parse(text, overrides, 1, &settings, &error) == TRIB_OK, "%s", error.message);
    ck_assert_str_eq(settings.compute.backend, "reference");
    ck_assert_int_eq(settings.compute.threads, 2);
    hints[0] = '\0';
    trib_client_settings_hints(&settings, keep_hint, NULL);
    ck_assert_str_eq(hints, "client.yaml:7: training.backend is called compute.backend now\n"
                            "client.yaml:8: training.threads is called compute.threads now\n"
                            "--set: training.threads is called compute.threads now\n");
    trib_client_settings_clear(&settings);
    refused_with("training: {threads: 1}\ncompute: {threads: 1}", "client.yaml:7: compute.threads",
                 "the same as training.threads in line 6: the setting is called compute.threads now");
    refused_with("compute:\n  threads: 1\ntraining:\n  threads: 1", "client.yaml:9: training.threads",
                 "the same as compute.threads in line 7: the setting is called compute.threads now");
}
END_TEST

START_TEST(what_is_dumped_reads_back_the_same)
{
    struct trib_client_settings settings, again;
    struct trib_error error = {.message = ""};
    const struct trib_config_row *rows;
    size_t n = trib_client_rows(&rows);
    struct trib_buf first = {0}, second = {0};
    ck_assert_msg(parse(minimal, NULL, 0, &settings, &error) == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(trib_config_dump(rows, n, &settings, &first), TRIB_OK);
    ck_assert_msg(parse(trib_buf_text(&first), NULL, 0, &again, &error) == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(trib_config_dump(rows, n, &again, &second), TRIB_OK);
    ck_assert_str_eq(trib_buf_text(&first), trib_buf_text(&second));
    trib_buf_clear(&first);
    trib_buf_clear(&second);
    trib_client_settings_clear(&settings);
    trib_client_settings_clear(&again);
}
END_TEST

START_TEST(memory_limits_say_both_figures)
{
    const struct trib_client_limits limits = {.max_epochs = 3, .max_ms = 1000, .max_bytes = 10 << 20};
    struct trib_train_limits train;
    struct trib_error error = {.message = ""};
    ck_assert_int_eq(trib_limits_for_training(&limits, 4 << 20, &train, &error), TRIB_OK);
    ck_assert_uint_eq(train.max_bytes, 6 << 20);
    ck_assert_uint_eq(train.max_epochs, 3);
    ck_assert_int_eq(train.max_ms, 1000);
    ck_assert_int_eq(trib_limits_for_training(&limits, 11 << 20, &train, &error), TRIB_LIMIT);
    ck_assert_msg(strstr(error.message, "11") && strstr(error.message, "10"), "%s", error.message);
    ck_assert_int_eq(trib_limits_check_model(&limits, 11 << 20, true, &error), TRIB_LIMIT);
    ck_assert_msg(strstr(error.message, "limits.max_memory"), "%s", error.message);
    ck_assert_int_eq(trib_limits_check_model(&limits, 11 << 20, false, &error), TRIB_OK);
    ck_assert_int_eq(trib_limits_check_model(&limits, TRIB_MODEL_FRAME_MAX + 1, false, &error), TRIB_LIMIT);
    ck_assert_int_eq(trib_limits_check_model(&limits, 0, true, &error), TRIB_INVALID);
    ck_assert_int_eq(trib_limits_check_sketch(8 << 20, &error), TRIB_OK);
    ck_assert_int_eq(trib_limits_check_sketch((8 << 20) + 1, &error), TRIB_LIMIT);
    ck_assert_msg(strstr(error.message, "sketch_positions") && strstr(error.message, "8388609"), "%s", error.message);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_settings");
    TCase *tests = tcase_create("client_settings");
    tcase_add_test(tests, a_minimal_file_gets_the_defaults);
    tcase_add_test(tests, every_kind_of_value_is_read);
    tcase_add_test(tests, overrides_win_and_are_named);
    tcase_add_test(tests, mistakes_are_named_with_their_line);
    tcase_add_test(tests, what_is_required_is_asked_for);
    tcase_add_test(tests, the_sample_names_every_key);
    tcase_add_test(tests, former_names_are_taken_with_a_hint);
    tcase_add_test(tests, what_is_dumped_reads_back_the_same);
    tcase_add_test(tests, memory_limits_say_both_figures);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
