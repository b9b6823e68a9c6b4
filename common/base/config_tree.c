/* YAML becomes a tree here, of nodes that know their file and line. Bounds on length, depth and number of nodes hold
 * before anything is built, since files may come from elsewhere. Any thread; a tree is not changed once it is parsed.
 */
#include "config_private.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* The root's block holds the file name as well. */
struct tree {
    struct trib_config_node root;
    char file[];
};

struct builder {
    yaml_parser_t parser;
    const char *file;
    const char *text;
    size_t len;
    size_t nodes;
    struct trib_error *error;
};

static void free_children(struct trib_config_node *parent)
{
    struct trib_config_node *child = parent->first;
    while (child) {
        struct trib_config_node *next = child->next;
        free_children(child);
        trib_free(child->key);
        trib_free(child->scalar);
        trib_free(child);
        child = next;
    }
}

void trib_config_free(struct trib_config_node *root)
{
    if (root) {
        free_children(root);
        trib_free(root); /* the first member of its struct tree */
    }
}

const struct trib_config_node *trib_config_child(const struct trib_config_node *map, const char *key)
{
    if (!map || map->kind != TRIB_CONFIG_MAP) {
        return NULL;
    }
    for (const struct trib_config_node *child = map->first; child; child = child->next) {
        if (strcmp(child->key, key) == 0) {
            return child;
        }
    }
    return NULL;
}

/* ---- messages ---- */

static int index_of(const struct trib_config_node *item)
{
    int index = 0;
    for (const struct trib_config_node *at = item->parent->first; at != item; at = at->next) {
        index++;
    }
    return index;
}

const char *trib_config_path_of(const struct trib_config_node *node, char *to, size_t size)
{
    const struct trib_config_node *chain[TRIB_CONFIG_DEPTH_MAX];
    size_t n = 0;
    for (; node->parent && n < TRIB_CONFIG_DEPTH_MAX; node = node->parent) {
        chain[n++] = node;
    }
    size_t used = 0;
    to[0] = '\0';
    while (n > 0 && used < size) {
        const struct trib_config_node *step = chain[--n];
        int wrote = !step->key ? snprintf(to + used, size - used, "[%d]", index_of(step))
                               : snprintf(to + used, size - used, "%s%s", used == 0 ? "" : ".", step->key);
        used += wrote < 0 ? size : (size_t)wrote;
    }
    return to;
}

enum trib_status trib_config_fail(const struct trib_config_node *node, struct trib_error *error, const char *format,
                                  ...)
{
    char message[TRIB_ERROR_MESSAGE_LEN];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    char path[TRIB_CONFIG_PATH_LEN];
    trib_config_path_of(node, path, sizeof path);
    return trib_fail(error, TRIB_CONFIG, "%s:%d: %s%s%s", node->file, node->line, path, path[0] == '\0' ? "" : ": ",
                     message);
}

static enum trib_status fail_at(const struct builder *builder, size_t line, const char *message)
{
    return trib_fail(builder->error, TRIB_CONFIG, "%s:%zu: %s", builder->file, line, message);
}

/* libyaml tells a line for syntax, but only a byte offset for bytes that are not UTF-8. */
static enum trib_status fail_syntax(const struct builder *builder)
{
    const yaml_parser_t *parser = &builder->parser;
    const char *problem = !parser->problem ? "syntax error" : parser->problem;
    if (parser->error == YAML_MEMORY_ERROR) {
        return trib_fail_no_memory(builder->error);
    }
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < builder->len; i++) {
            line += builder->text[i] == '\n';
        }
    }
    return trib_fail(builder->error, TRIB_CONFIG, "%s:%zu: not valid YAML: %s%s%s", builder->file, line, problem,
                     !parser->context ? "" : " ", !parser->context ? "" : parser->context);
}

/* ---- building ---- */

static enum trib_status next_event(struct builder *builder, yaml_event_t *event)
{
    return yaml_parser_parse(&builder->parser, event) ? TRIB_OK : fail_syntax(builder);
}

static enum trib_status refuse_extras(const struct builder *builder, const yaml_event_t *event)
{
    size_t line = event->start_mark.line + 1;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return fail_at(builder, line, "aliases are not supported; write the value out");
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor) {
        return fail_at(builder, line, "anchors are not supported; write the value out where it is needed");
    }
    if (tag) {
        return fail_at(builder, line, "tags are not supported; the key decides what its value is");
    }
    return TRIB_OK;
}

/* The text of a scalar event as a string of its own. */
static enum trib_status copy_scalar(const struct builder *builder, const yaml_event_t *event, char **text)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    if (memchr(value, '\0', len)) {
        return fail_at(builder, event->start_mark.line + 1, "text must not contain a zero byte");
    }
    char *copy = trib_strndup(value, len);
    if (!copy) {
        return trib_fail_no_memory(builder->error);
    }
    *text = copy;
    return TRIB_OK;
}

/* What a child begins with. In a map its line is the key's: there a person looks for it. */
struct beginning {
    char *key; /* owned; NULL in a list */
    size_t line;
    yaml_event_t event;
};

/* Make the node that an event starts and hang it under its parent, behind *last; takes the key over. */
static enum trib_status add_child(struct builder *builder, struct trib_config_node *parent,
                                  struct trib_config_node **last, struct beginning *beginning)
{
    const yaml_event_t *event = &beginning->event;
    if (++builder->nodes > TRIB_CONFIG_NODES_MAX) {
        return trib_fail(builder->error, TRIB_CONFIG, "%s:%zu: more than %d values", builder->file, beginning->line,
                         TRIB_CONFIG_NODES_MAX);
    }
    struct trib_config_node *node = trib_calloc(1, sizeof *node);
    if (!node) {
        return trib_fail_no_memory(builder->error);
    }
    node->kind = event->type == YAML_MAPPING_START_EVENT    ? TRIB_CONFIG_MAP
                 : event->type == YAML_SEQUENCE_START_EVENT ? TRIB_CONFIG_LIST
                                                            : TRIB_CONFIG_SCALAR;
    node->line = (int)beginning->line;
    node->file = builder->file;
    node->key = beginning->key;
    beginning->key = NULL;
    node->parent = parent;
    if (!*last) {
        parent->first = node;
    } else {
        (*last)->next = node;
    }
    *last = node;
    parent->n++;
    if (event->type == YAML_SCALAR_EVENT) {
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        return copy_scalar(builder, event, &node->scalar);
    }
    return TRIB_OK;
}

static enum trib_status fill(struct builder *builder, struct trib_config_node *parent, int depth);

/* The child that an event starts, with all below it. */
static enum trib_status build_child(struct builder *builder, struct trib_config_node *parent,
                                    struct trib_config_node **last, struct beginning *beginning, int depth)
{
    TRIB_TRY(refuse_extras(builder, &beginning->event));
    TRIB_TRY(add_child(builder, parent, last, beginning));
    if ((*last)->kind == TRIB_CONFIG_SCALAR) {
        return TRIB_OK;
    }
    if (depth >= TRIB_CONFIG_DEPTH_MAX) {
        return trib_fail(builder->error, TRIB_CONFIG, "%s:%d: nested more than %d deep", builder->file, (*last)->line,
                         TRIB_CONFIG_DEPTH_MAX);
    }
    return fill(builder, *last, depth + 1);
}

/* A map's key, out of its event. `seen` knows the keys before it. */
static enum trib_status read_key(struct builder *builder, const yaml_event_t *event, const struct trib_map *seen,
                                 char **key)
{
    TRIB_TRY(refuse_extras(builder, event));
    size_t line = event->start_mark.line + 1;
    if (event->type != YAML_SCALAR_EVENT) {
        return fail_at(builder, line, "a key must be plain text");
    }
    if (event->data.scalar.length == 0) {
        return fail_at(builder, line, "a key is empty");
    }
    char *text = NULL;
    TRIB_TRY(copy_scalar(builder, event, &text));
    const struct trib_config_node *first = trib_map_get(seen, text);
    if (first) {
        enum trib_status status = trib_fail(builder->error, TRIB_CONFIG, "%s:%zu: %s: given twice; first on line %d",
                                            builder->file, line, text, first->line);
        trib_free(text);
        return status;
    }
    *key = text;
    return TRIB_OK;
}

/* The next child's key (if there is `seen`, a map's keys so far) and first event; *ends when there is no other. What it
 * fills is cleared by the caller in any case. */
static enum trib_status begin_child(struct builder *builder, const struct trib_map *seen, struct beginning *beginning,
                                    bool *ends)
{
    yaml_event_t *event = &beginning->event;
    TRIB_TRY(next_event(builder, event));
    beginning->line = event->start_mark.line + 1;
    *ends = event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT;
    if (*ends || !seen) {
        return TRIB_OK;
    }
    TRIB_TRY(read_key(builder, event, seen, &beginning->key));
    yaml_event_delete(event);
    return next_event(builder, event);
}

/* Read children until the end of the list (which has no `seen`) or map. */
static enum trib_status fill_with(struct builder *builder, struct trib_config_node *parent, struct trib_map *seen,
                                  int depth)
{
    struct trib_config_node *last = NULL;
    enum trib_status status = TRIB_OK;
    bool ends = false;
    while (status == TRIB_OK && !ends) {
        struct beginning beginning = {0};
        status = begin_child(builder, seen, &beginning, &ends);
        if (status == TRIB_OK && !ends) {
            status = build_child(builder, parent, &last, &beginning, depth);
        }
        if (status == TRIB_OK && !ends && seen && trib_map_put(seen, last->key, last) != TRIB_OK) {
            status = trib_fail_no_memory(builder->error);
        }
        yaml_event_delete(&beginning.event);
        trib_free(beginning.key);
    }
    return status;
}

static enum trib_status fill(struct builder *builder, struct trib_config_node *parent, int depth)
{
    if (parent->kind != TRIB_CONFIG_MAP) {
        return fill_with(builder, parent, NULL, depth);
    }
    struct trib_map *seen = trib_map_new();
    if (!seen) {
        return trib_fail_no_memory(builder->error);
    }
    enum trib_status status = fill_with(builder, parent, seen, depth);
    trib_map_free(seen);
    return status;
}

/* The document's only value must be a map; nothing at all counts as an empty one. */
static enum trib_status fill_root(struct builder *builder, struct trib_config_node *root)
{
    yaml_event_t event;
    TRIB_TRY(next_event(builder, &event));
    enum trib_status status = refuse_extras(builder, &event);
    size_t line = event.start_mark.line + 1;
    bool is_map = event.type == YAML_MAPPING_START_EVENT;
    bool is_empty = event.type == YAML_SCALAR_EVENT && event.data.scalar.length == 0 &&
                    event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    yaml_event_delete(&event);
    if (status == TRIB_OK && !is_map && !is_empty) {
        status = fail_at(builder, line, "must be a map: lines of the form \"key: value\"");
    }
    if (status != TRIB_OK || is_empty) {
        return status;
    }
    root->line = (int)line;
    return fill(builder, root, 2);
}

/* Stream start, one document or none, stream end. */
static enum trib_status read_stream(struct builder *builder, struct trib_config_node *root)
{
    int documents = 0;
    for (;;) {
        yaml_event_t event;
        TRIB_TRY(next_event(builder, &event));
        yaml_event_type_t type = event.type;
        size_t line = event.start_mark.line + 1;
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT) {
            return TRIB_OK;
        }
        if (type != YAML_DOCUMENT_START_EVENT) {
            continue; /* the stream's start, the document's end */
        }
        if (++documents > 1) {
            return fail_at(builder, line, "a second document begins; a file must have one only");
        }
        TRIB_TRY(fill_root(builder, root));
    }
}

enum trib_status trib_config_parse_text(const char *name, const char *text, size_t len, struct trib_config_node **root,
                                        struct trib_error *error)
{
    if (len > TRIB_CONFIG_LEN_MAX) {
        return trib_fail(error, TRIB_LIMIT, "%s: is longer than the %d bytes allowed", name, TRIB_CONFIG_LEN_MAX);
    }
    size_t name_size = strlen(name) + 1;
    struct tree *tree = trib_calloc(1, sizeof *tree + name_size);
    if (!tree) {
        return trib_fail_no_memory(error);
    }
    memcpy(tree->file, name, name_size);
    tree->root = (struct trib_config_node){.kind = TRIB_CONFIG_MAP, .line = 1, .file = tree->file};
    struct builder builder = {.file = tree->file, .text = text, .len = len, .nodes = 1, .error = error};
    if (!yaml_parser_initialize(&builder.parser)) {
        trib_free(tree);
        return trib_fail_no_memory(error);
    }
    yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&builder.parser, (const unsigned char *)text, len);
    enum trib_status status = read_stream(&builder, &tree->root);
    yaml_parser_delete(&builder.parser);
    if (status != TRIB_OK) {
        trib_config_free(&tree->root);
        return status;
    }
    *root = &tree->root;
    return TRIB_OK;
}

enum trib_status trib_config_parse_file(const char *path, struct trib_config_node **root, struct trib_error *error)
{
    struct trib_buf content = {0};
    TRIB_TRY(trib_file_read(path, TRIB_CONFIG_LEN_MAX, &content, error));
    enum trib_status status = trib_config_parse_text(path, trib_buf_text(&content), content.len, root, error);
    trib_buf_clear(&content);
    return status;
}
