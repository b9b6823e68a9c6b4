/* Any bytes as a configuration file: a tree that hangs together, or a message with its name and line. */
#include "base/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static size_t longest_key;

static void check_node(const struct trib_config_node *node)
{
    size_t n = 0;
    size_t key_len = node->key ? strlen(node->key) : 0;
    longest_key = key_len > longest_key ? key_len : longest_key;
    require(node->line >= 0 && node->file);
    require((node->kind == TRIB_CONFIG_SCALAR) == !!node->scalar);
    for (const struct trib_config_node *child = node->first; child; child = child->next) {
        require(node->kind != TRIB_CONFIG_SCALAR && child->parent == node);
        require((node->kind == TRIB_CONFIG_MAP) == !!child->key);
        require(!child->key || trib_config_child(node, child->key));
        check_node(child);
        n++;
    }
    require(n == node->n);
}

struct settings {
    bool flag;
    int64_t count, pause, bytes;
    double rate;
    char *name, *path;
    int choice;
    const struct trib_config_node *list;
};
enum { PATH_MOST = 400 };
static const char *const choices[] = {"one", "two", NULL};
#define AT(member) TRIB_ROW_AT(struct settings, member)
static const struct trib_config_row rows[] = {
    TRIB_ROW("flag", TRIB_TYPE_BOOL, AT(flag), "no", 0, 0, NULL, 0, "A flag."),
    TRIB_ROW("old.flag", TRIB_TYPE_ALIAS, 0, "flag", 0, 0, NULL, 0, NULL),
    TRIB_ROW("a.count", TRIB_TYPE_INT, AT(count), "1", -5, 100, NULL, 0, "A count."),
    TRIB_ROW("a.pause", TRIB_TYPE_DURATION, AT(pause), "1s", 1, 1e6, NULL, 0, "A pause."),
    TRIB_ROW("a.bytes", TRIB_TYPE_SIZE, AT(bytes), "1KiB", 0, 1e9, NULL, 0, "A size."),
    TRIB_ROW("a.rate", TRIB_TYPE_REAL, AT(rate), "0.5", 0, 1, NULL, 0, "A rate."),
    TRIB_ROW("name", TRIB_TYPE_STRING, AT(name), NULL, 0, 40, NULL, 0, "A name."),
    TRIB_ROW("path", TRIB_TYPE_PATH, AT(path), "x", 0, PATH_MOST, NULL, 0, "A path."),
    TRIB_ROW("choice", TRIB_TYPE_ENUM, AT(choice), "one", 0, 0, choices, 0, "A choice."),
    TRIB_ROW("list", TRIB_TYPE_NODE, AT(list), NULL, 0, 0, NULL, 0, "A list."),
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* What was read from the file can be dumped, and the dump can be read. */
static void apply(const struct trib_config_node *root)
{
    struct settings settings = {0}, again = {0};
    struct trib_error error;
    struct trib_buf yaml = {0};
    struct trib_config_node *dumped = NULL;
    error.message[0] = 0;
    if (trib_config_apply(root, rows, ROWS, &settings, &error) != TRIB_OK) {
        require(strncmp(error.message, "fuzz.yaml", 9) == 0);
        return;
    }
    /* YAML bounds a key that is written on one line to 1024 bytes, escapes included; and a path is dumped as an
     * absolute one, which may be longer than its row allows. */
    bool dumpable = longest_key <= 100 && (!settings.path || strlen(settings.path) <= PATH_MOST / 4);
    if (dumpable && trib_config_dump(rows, ROWS, &settings, &yaml) == TRIB_OK) {
        require(trib_config_parse_text("dump", trib_buf_text(&yaml), yaml.len, &dumped, &error) == TRIB_OK);
        require(trib_config_apply(dumped, rows, ROWS, &again, &error) == TRIB_OK);
        require(again.count == settings.count && again.pause == settings.pause && again.bytes == settings.bytes);
        require(again.flag == settings.flag && again.choice == settings.choice);
        require(!settings.name == !again.name && (!settings.name || strcmp(settings.name, again.name) == 0));
        trib_config_clear(rows, ROWS, &again);
        trib_config_free(dumped);
    }
    trib_buf_clear(&yaml);
    trib_config_clear(rows, ROWS, &settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trib_config_node *root = NULL;
    struct trib_error error;
    error.message[0] = 0;
    if (trib_config_parse_text("fuzz.yaml", (const char *)data, size, &root, &error) != TRIB_OK) {
        require(!root && strncmp(error.message, "fuzz.yaml", 9) == 0);
        return 0;
    }
    require(root->kind == TRIB_CONFIG_MAP && !root->parent);
    longest_key = 0;
    check_node(root);
    apply(root);
    trib_config_free(root);
    return 0;
}
