/* YAML into a tree: what is read, what is refused, and the messages. */
#include "base/config.h"
#include "base/mem.h"
#include "fail_memory.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct trib_config_node *root;
static struct trib_error error;

static enum trib_status parse(const char *text)
{
    root = NULL;
    return trib_config_parse_text("server.yaml", text, strlen(text), &root, &error);
}

static void expect_failure(const char *text, const char *message)
{
    ck_assert_int_eq(parse(text), TRIB_CONFIG);
    ck_assert_ptr_null(root);
    ck_assert_str_eq(error.message, message);
}

START_TEST(a_tree_remembers_lines)
{
    ck_assert_int_eq(parse("# comment\n"
                           "rounds: 10\n"
                           "nodes:\n"
                           "  - name: \"a b\"\n"
                           "  - {name: c, tags: [x, 'y', \"\"]}\n"
                           "text: |\n"
                           "  two\n"
                           "  lines\n"
                           "nothing:\n"),
                     TRIB_OK);
    ck_assert_int_eq(root->kind, TRIB_CONFIG_MAP);
    ck_assert_uint_eq(root->n, 4);
    ck_assert_str_eq(root->file, "server.yaml");
    const struct trib_config_node *rounds = trib_config_child(root, "rounds");
    ck_assert_str_eq(rounds->scalar, "10");
    ck_assert_int_eq(rounds->line, 2);
    ck_assert(!rounds->quoted);
    const struct trib_config_node *nodes = trib_config_child(root, "nodes");
    ck_assert_int_eq(nodes->kind, TRIB_CONFIG_LIST);
    ck_assert_uint_eq(nodes->n, 2);
    ck_assert_ptr_null(nodes->first->key);
    ck_assert_ptr_eq(nodes->parent, root);
    ck_assert_str_eq(trib_config_child(nodes->first, "name")->scalar, "a b");
    ck_assert(trib_config_child(nodes->first, "name")->quoted);
    const struct trib_config_node *tags = trib_config_child(nodes->first->next, "tags");
    ck_assert_uint_eq(tags->n, 3);
    ck_assert_int_eq(tags->line, 5);
    ck_assert_str_eq(tags->first->next->scalar, "y");
    ck_assert_str_eq(tags->first->next->next->scalar, "");
    ck_assert_str_eq(trib_config_child(root, "text")->scalar, "two\nlines\n");
    ck_assert(!trib_config_child(root, "nothing")->quoted);
    ck_assert_str_eq(trib_config_child(root, "nothing")->scalar, "");
    ck_assert_ptr_null(trib_config_child(root, "absent"));
    ck_assert_ptr_null(trib_config_child(rounds, "absent"));
    ck_assert_ptr_null(trib_config_child(NULL, "absent"));
    trib_config_free(root);
}
END_TEST

START_TEST(nothing_is_an_empty_map)
{
    static const char *const texts[] = {"", "\n\n", "# only a comment\n", "---\n", "---\n...\n", "{}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ck_assert_int_eq(parse(texts[i]), TRIB_OK);
        ck_assert_int_eq(root->kind, TRIB_CONFIG_MAP);
        ck_assert_uint_eq(root->n, 0);
        trib_config_free(root);
    }
    trib_config_free(NULL);
}
END_TEST

START_TEST(extras_are_refused)
{
    expect_failure("a: &x 1\n", "server.yaml:1: anchors are not supported; write the value out where it is needed");
    expect_failure("a:\n  &x\n  b: 1\n",
                   "server.yaml:2: anchors are not supported; write the value out where it is needed");
    expect_failure("a: 1\nb: *x\n", "server.yaml:2: aliases are not supported; write the value out");
    expect_failure("a: !!int 1\n", "server.yaml:1: tags are not supported; the key decides what its value is");
    expect_failure("a: ! [1]\n", "server.yaml:1: tags are not supported; the key decides what its value is");
    expect_failure("a: 1\n---\nb: 2\n", "server.yaml:2: a second document begins; a file must have one only");
    expect_failure("- a\n- b\n", "server.yaml:1: must be a map: lines of the form \"key: value\"");
    expect_failure("\njust text\n", "server.yaml:2: must be a map: lines of the form \"key: value\"");
    expect_failure("? [a, b]\n: c\n", "server.yaml:1: a key must be plain text");
    expect_failure("'': c\n", "server.yaml:1: a key is empty");
    expect_failure("a: \"x\\0y\"\n", "server.yaml:1: text must not contain a zero byte");
    expect_failure("\"k\\0\": 1\n", "server.yaml:1: text must not contain a zero byte");
}
END_TEST

START_TEST(duplicate_keys_are_refused)
{
    expect_failure("rounds: 1\nclients: 2\nrounds: 3\n", "server.yaml:3: rounds: given twice; first on line 1");
    expect_failure("a:\n  b: 1\n  'b': 2\n", "server.yaml:3: b: given twice; first on line 2");
    ck_assert_int_eq(parse("a: {b: 1}\nc: {b: 1}\n"), TRIB_OK);
    trib_config_free(root);
}
END_TEST

START_TEST(syntax_errors_name_their_line)
{
    ck_assert_int_eq(parse("a: 1\nb: [1, 2\nc: 3\n"), TRIB_CONFIG);
    ck_assert_ptr_eq(strstr(error.message, "server.yaml:3: not valid YAML: "), error.message);
    ck_assert_int_eq(parse("a: 1\n\tb: 2\n"), TRIB_CONFIG);
    ck_assert_ptr_eq(strstr(error.message, "server.yaml:2: not valid YAML: "), error.message);
    ck_assert_int_eq(parse("a: 1\nb: \xff\n"), TRIB_CONFIG);
    ck_assert_ptr_eq(strstr(error.message, "server.yaml:2: not valid YAML: "), error.message);
}
END_TEST

START_TEST(depth_is_bounded)
{
    char deep[600] = "a: ";
    for (int i = 0; i < 200; i++) {
        deep[3 + i] = '[';
    }
    expect_failure(deep, "server.yaml:1: nested more than 16 deep");
    for (int depth = 1; depth <= 40; depth++) {
        struct trib_buf text = {0};
        for (int i = 0; i < 2 * depth; i++) {
            ck_assert_int_eq(trib_buf_add_text(&text, i < depth ? "{a: " : i > depth ? "}" : "1}"), TRIB_OK);
        }
        ck_assert_int_eq(parse(trib_buf_text(&text)), depth < 16 ? TRIB_OK : TRIB_CONFIG);
        trib_config_free(root);
        trib_buf_clear(&text);
    }
}
END_TEST

START_TEST(nodes_and_length_are_bounded)
{
    struct trib_buf text = {0};
    ck_assert_int_eq(trib_buf_add_text(&text, "a: [1"), TRIB_OK);
    for (int i = 0; i < 20000; i++) {
        ck_assert_int_eq(trib_buf_add_text(&text, ",1"), TRIB_OK);
    }
    ck_assert_int_eq(trib_buf_add_text(&text, "]"), TRIB_OK);
    expect_failure(trib_buf_text(&text), "server.yaml:1: more than 20000 values");
    trib_buf_clear(&text);
    ck_assert_int_eq(trib_buf_add_text(&text, "# "), TRIB_OK);
    ck_assert_int_eq(trib_buf_printf(&text, "%0*d", (1 << 20) - 2, 0), TRIB_OK);
    ck_assert_int_eq(parse(trib_buf_text(&text)), TRIB_OK);
    trib_config_free(root);
    ck_assert_int_eq(trib_buf_add_text(&text, "x"), TRIB_OK);
    ck_assert_int_eq(parse(trib_buf_text(&text)), TRIB_LIMIT);
    trib_buf_clear(&text);
}
END_TEST

START_TEST(failures_show_the_whole_path)
{
    ck_assert_int_eq(parse("a:\n  - x: 1\n  - y:\n      - z: 2\n"), TRIB_OK);
    const struct trib_config_node *second = trib_config_child(root, "a")->first->next;
    const struct trib_config_node *z = trib_config_child(trib_config_child(second, "y")->first, "z");
    ck_assert_int_eq(trib_config_fail(z, &error, "%d is odd", 2), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "server.yaml:4: a[1].y[0].z: 2 is odd");
    ck_assert_int_eq(trib_config_fail(root, &error, "empty"), TRIB_CONFIG);
    ck_assert_str_eq(error.message, "server.yaml:1: empty");
    ck_assert_int_eq(trib_config_fail(root, NULL, "empty"), TRIB_CONFIG);
    trib_config_free(root);
}
END_TEST

START_TEST(files_are_read)
{
    char path[] = "/tmp/trib-test-config-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_eq(write(fd, "a: b\n", 5), 5);
    close(fd);
    ck_assert_int_eq(trib_config_parse_file(path, &root, &error), TRIB_OK);
    ck_assert_str_eq(trib_config_child(root, "a")->scalar, "b");
    ck_assert_str_eq(root->file, path);
    trib_config_free(root);
    unlink(path);
    ck_assert_int_eq(trib_config_parse_file(path, &root, &error), TRIB_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, path));
}
END_TEST

START_TEST(short_memory_leaks_nothing)
{
    enum trib_status status;
    int64_t nth = 0;
    do {
        fail_memory_after(nth++, false);
        status = parse("a: 1\nb:\n  - c: [1, {d: 2}]\n  - e\n'f': g\n");
        fail_memory_after(-1, false);
        ck_assert(status == TRIB_OK || (status == TRIB_NO_MEMORY && !root));
    } while (status != TRIB_OK);
    ck_assert_int_gt(nth, 10);
    trib_config_free(root);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_tree");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, a_tree_remembers_lines);
    tcase_add_test(tests, nothing_is_an_empty_map);
    tcase_add_test(tests, extras_are_refused);
    tcase_add_test(tests, duplicate_keys_are_refused);
    tcase_add_test(tests, syntax_errors_name_their_line);
    tcase_add_test(tests, depth_is_bounded);
    tcase_add_test(tests, nodes_and_length_are_bounded);
    tcase_add_test(tests, failures_show_the_whole_path);
    tcase_add_test(tests, files_are_read);
    tcase_add_test(tests, short_memory_leaks_nothing);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
