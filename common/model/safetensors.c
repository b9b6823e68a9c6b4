/* The header of safetensors files:
 *
 *   {"__metadata__":{"format":"tributary",...},"fc1.weight":{"dtype":"F32","shape":[200,784],"data_offsets":[0,627200]},...}
 *
 * Source: the format's description at https://github.com/huggingface/safetensors. Offsets count from the header's
 * end; tensors lie without gaps or overlaps. Reading is strict, since files come from elsewhere. Any thread. */
#include "safetensors.h"

#include "json.h"

#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char metadata_key[] = "__metadata__";

/* ---- writing ---- */

static enum trib_status write_entry(struct trib_buf *header, const char *key, const char *value)
{
    TRIB_TRY(trib_json_quote(header, key));
    TRIB_TRY(trib_buf_add(header, ":", 1));
    return trib_json_quote(header, value);
}

static enum trib_status check_entries(const struct trib_checkpoint_entry *entries, size_t n, struct trib_error *error)
{
    for (size_t i = 0; i < n; i++) {
        bool taken = trib_str_equal(entries[i].key, "format") || trib_str_equal(entries[i].key, "schema");
        for (size_t j = 0; j < i && !taken; j++) {
            taken = trib_str_equal(entries[i].key, entries[j].key);
        }
        if (taken) {
            return trib_fail(error, TRIB_INVALID, "the checkpoint's metadata already has a key \"%.64s\"",
                             entries[i].key);
        }
    }
    return TRIB_OK;
}

static enum trib_status write_metadata(struct trib_buf *header, const struct trib_schema *schema,
                                       const struct trib_checkpoint_entry *entries, size_t n_entries)
{
    char hash[2 * TRIB_SHA256_LEN + 1];
    trib_hex_encode(schema->hash, sizeof schema->hash, hash);
    TRIB_TRY(trib_json_quote(header, metadata_key));
    TRIB_TRY(trib_buf_add(header, ":{", 2));
    TRIB_TRY(write_entry(header, "format", "tributary"));
    TRIB_TRY(trib_buf_add(header, ",", 1));
    TRIB_TRY(write_entry(header, "schema", hash));
    for (size_t i = 0; i < n_entries; i++) {
        TRIB_TRY(trib_buf_add(header, ",", 1));
        TRIB_TRY(write_entry(header, entries[i].key, entries[i].value));
    }
    return trib_buf_add(header, "}", 1);
}

static enum trib_status write_tensor(struct trib_buf *header, const struct trib_schema_tensor *tensor)
{
    TRIB_TRY(trib_buf_add(header, ",", 1));
    TRIB_TRY(trib_json_quote(header, tensor->name));
    TRIB_TRY(trib_buf_add_text(header, ":{\"dtype\":\"F32\",\"shape\":["));
    for (int d = 0; d < tensor->shape.rank; d++) {
        TRIB_TRY(trib_buf_printf(header, "%s%" PRId64, d ? "," : "", tensor->shape.dims[d]));
    }
    return trib_buf_printf(header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
                           (uint64_t)tensor->offset * sizeof(float),
                           (uint64_t)(tensor->offset + tensor->n) * sizeof(float));
}

static enum trib_status write_header(struct trib_buf *header, const struct trib_schema *schema,
                                     const struct trib_checkpoint_entry *entries, size_t n_entries)
{
    static const char prefix[TRIB_SAFETENSORS_PREFIX_LEN];
    TRIB_TRY(trib_buf_add(header, prefix, sizeof prefix));
    TRIB_TRY(trib_buf_add(header, "{", 1));
    TRIB_TRY(write_metadata(header, schema, entries, n_entries));
    for (size_t i = 0; i < schema->n_tensors; i++) {
        TRIB_TRY(write_tensor(header, &schema->tensors[i]));
    }
    TRIB_TRY(trib_buf_add(header, "}", 1));
    while (header->len % 8 != 0) {
        TRIB_TRY(trib_buf_add(header, " ", 1));
    }
    trib_store_u64(header->data, header->len - sizeof prefix);
    return TRIB_OK;
}

enum trib_status trib_safetensors_header(const struct trib_schema *schema, const struct trib_checkpoint_entry *entries,
                                         size_t n_entries, struct trib_buf *header, struct trib_error *error)
{
    TRIB_TRY(check_entries(entries, n_entries, error));
    enum trib_status status = write_header(header, schema, entries, n_entries);
    if (status == TRIB_INVALID) {
        return trib_fail(error, status, "a name or metadata entry of the checkpoint is not UTF-8");
    }
    if (status != TRIB_OK) {
        return trib_fail(error, status, "the checkpoint's header: %s", trib_status_text(status));
    }
    if (header->len > TRIB_SAFETENSORS_HEADER_MAX) {
        return trib_fail(error, TRIB_LIMIT, "the checkpoint's header would have %zu bytes; at most %d can be read back",
                         header->len, TRIB_SAFETENSORS_HEADER_MAX);
    }
    return TRIB_OK;
}

/* ---- reading ---- */

struct tensors {
    struct trib_checkpoint_tensor *items;
    size_t n, capacity;
};

static enum trib_status read_metadata(struct trib_json *json)
{
    bool more, cut;
    size_t n = 0;
    TRIB_TRY(trib_json_expect(json, '{'));
    for (;;) {
        TRIB_TRY(trib_json_more(json, '}', &n, &more));
        if (!more) {
            return TRIB_OK;
        }
        TRIB_TRY(trib_json_string(json, NULL, 0, &cut));
        TRIB_TRY(trib_json_expect(json, ':'));
        TRIB_TRY(trib_json_string(json, NULL, 0, &cut));
    }
}

static enum trib_status read_dtype(struct trib_json *json, const char *name)
{
    char type[16];
    bool cut;
    TRIB_TRY(trib_json_string(json, type, sizeof type, &cut));
    if (cut || !trib_str_equal(type, "F32")) {
        return trib_fail(json->error, TRIB_MISMATCH, "tensor \"%s\" is of type %s, and a model's are F32", name, type);
    }
    return TRIB_OK;
}

static enum trib_status read_shape(struct trib_json *json, const char *name, struct trib_shape *shape)
{
    bool more;
    size_t n = 0;
    *shape = TRIB_SCALAR;
    TRIB_TRY(trib_json_expect(json, '['));
    for (;;) {
        TRIB_TRY(trib_json_more(json, ']', &n, &more));
        if (!more) {
            return TRIB_OK;
        }
        uint64_t dim = 0;
        TRIB_TRY(trib_json_u64(json, &dim));
        if (dim > INT64_MAX) {
            return trib_fail(json->error, TRIB_CORRUPT, "tensor \"%s\": dimension %" PRIu64 " is too large", name, dim);
        }
        if (shape->rank == TRIB_MAX_RANK) {
            return trib_fail(json->error, TRIB_MISMATCH, "tensor \"%s\" has more than %d dimensions", name,
                             TRIB_MAX_RANK);
        }
        shape->dims[shape->rank++] = (int64_t)dim;
    }
}

static enum trib_status read_offsets(struct trib_json *json, struct trib_checkpoint_tensor *tensor)
{
    TRIB_TRY(trib_json_expect(json, '['));
    TRIB_TRY(trib_json_u64(json, &tensor->begin));
    TRIB_TRY(trib_json_expect(json, ','));
    TRIB_TRY(trib_json_u64(json, &tensor->end));
    return trib_json_expect(json, ']');
}

static enum trib_status check_tensor(const struct trib_checkpoint_tensor *tensor, uint64_t data_len,
                                     struct trib_error *error)
{
    size_t n = 0;
    if (tensor->begin > tensor->end || tensor->end > data_len) {
        return trib_fail(error, TRIB_CORRUPT,
                         "tensor \"%s\": bytes %" PRIu64 " to %" PRIu64 " do not lie within the data's %" PRIu64,
                         tensor->name, tensor->begin, tensor->end, data_len);
    }
    char shape[96];
    trib_shape_format(&tensor->shape, shape, sizeof shape);
    if (trib_shape_elements(&tensor->shape, &n, NULL) != TRIB_OK) {
        return trib_fail(error, TRIB_CORRUPT, "tensor \"%s\": shape %s is too large", tensor->name, shape);
    }
    uint64_t len = tensor->end - tensor->begin;
    if (len != (uint64_t)n * sizeof(float)) {
        return trib_fail(error, TRIB_CORRUPT, "tensor \"%s\": shape %s takes %" PRIu64 " bytes, but has %" PRIu64,
                         tensor->name, shape, (uint64_t)n * sizeof(float), len);
    }
    return TRIB_OK;
}

/* {"dtype":"F32","shape":[...],"data_offsets":[begin,end]}, each key once, in any order. */
static enum trib_status read_tensor(struct trib_json *json, uint64_t data_len, struct trib_checkpoint_tensor *tensor)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    bool seen[3] = {false}, more, cut;
    size_t n = 0;
    TRIB_TRY(trib_json_expect(json, '{'));
    for (;;) {
        TRIB_TRY(trib_json_more(json, '}', &n, &more));
        if (!more) {
            break;
        }
        char key[16];
        size_t which = 0;
        TRIB_TRY(trib_json_string(json, key, sizeof key, &cut));
        while (which < 3 && (cut || strcmp(key, keys[which]) != 0)) {
            which++;
        }
        if (which == 3 || seen[which]) {
            return trib_fail(json->error, TRIB_CORRUPT, "tensor \"%s\": %s key \"%s\"", tensor->name,
                             which == 3 ? "unknown" : "repeated", key);
        }
        seen[which] = true;
        TRIB_TRY(trib_json_expect(json, ':'));
        if (which == 0) {
            TRIB_TRY(read_dtype(json, tensor->name));
        } else if (which == 1) {
            TRIB_TRY(read_shape(json, tensor->name, &tensor->shape));
        } else {
            TRIB_TRY(read_offsets(json, tensor));
        }
    }
    if (!seen[0] || !seen[1] || !seen[2]) {
        return trib_fail(json->error, TRIB_CORRUPT, "tensor \"%s\" lacks its dtype, shape or data_offsets",
                         tensor->name);
    }
    return check_tensor(tensor, data_len, json->error);
}

static enum trib_status add_tensor(struct tensors *tensors, const struct trib_checkpoint_tensor *tensor,
                                   struct trib_error *error)
{
    if (tensors->n == tensors->capacity) {
        size_t capacity = tensors->capacity ? 2 * tensors->capacity : 16;
        void *items = trib_realloc_array(tensors->items, capacity, sizeof *tensors->items);
        if (!items) {
            return trib_fail_no_memory(error);
        }
        tensors->items = items;
        tensors->capacity = capacity;
    }
    tensors->items[tensors->n++] = *tensor;
    return TRIB_OK;
}

static enum trib_status read_members(struct trib_json *json, uint64_t data_len, struct tensors *tensors)
{
    bool more, cut, metadata = false;
    size_t n = 0;
    TRIB_TRY(trib_json_expect(json, '{'));
    for (;;) {
        TRIB_TRY(trib_json_more(json, '}', &n, &more));
        if (!more) {
            return trib_json_end(json);
        }
        struct trib_checkpoint_tensor tensor = {0};
        TRIB_TRY(trib_json_string(json, tensor.name, sizeof tensor.name, &cut));
        if (cut) {
            return trib_fail(json->error, TRIB_MISMATCH, "tensor \"%s...\": the name is longer than %d bytes",
                             tensor.name, TRIB_VALUE_NAME_LEN - 1);
        }
        TRIB_TRY(trib_json_expect(json, ':'));
        if (strcmp(tensor.name, metadata_key) == 0) {
            if (metadata) {
                return trib_fail(json->error, TRIB_CORRUPT, "%s comes twice", metadata_key);
            }
            metadata = true;
            TRIB_TRY(read_metadata(json));
            continue;
        }
        TRIB_TRY(read_tensor(json, data_len, &tensor));
        TRIB_TRY(add_tensor(tensors, &tensor, json->error));
    }
}

static int by_name(const void *a, const void *b)
{
    const struct trib_checkpoint_tensor *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static int by_place(const void *a, const void *b)
{
    const struct trib_checkpoint_tensor *left = a, *right = b;
    if (left->begin != right->begin) {
        return left->begin < right->begin ? -1 : 1;
    }
    /* an empty tensor comes before the one that begins where it lies */
    return left->end < right->end ? -1 : left->end > right->end ? 1 : strcmp(left->name, right->name);
}

/* No name twice; no gap, no overlap, nothing left over. Leaves the tensors in the order of their data. */
static enum trib_status check_tensors(struct tensors *tensors, uint64_t data_len, struct trib_error *error)
{
    struct trib_checkpoint_tensor *items = tensors->items;
    if (tensors->n > 0) {
        qsort(items, tensors->n, sizeof *items, by_name);
    }
    for (size_t i = 1; i < tensors->n; i++) {
        if (strcmp(items[i - 1].name, items[i].name) == 0) {
            return trib_fail(error, TRIB_CORRUPT, "tensor \"%s\" comes twice", items[i].name);
        }
    }
    if (tensors->n > 0) {
        qsort(items, tensors->n, sizeof *items, by_place);
    }
    uint64_t at = 0;
    for (size_t i = 0; i < tensors->n; i++) {
        if (items[i].begin != at) {
            return trib_fail(error, TRIB_CORRUPT,
                             "tensor \"%s\" begins at byte %" PRIu64 " of the data, %s the one "
                             "before it, which ends at %" PRIu64,
                             items[i].name, items[i].begin, items[i].begin < at ? "overlapping" : "leaving a gap after",
                             at);
        }
        at = items[i].end;
    }
    if (at != data_len) {
        return trib_fail(error, TRIB_CORRUPT,
                         "the header describes %" PRIu64 " bytes of data, and the file has %" PRIu64, at, data_len);
    }
    return TRIB_OK;
}

enum trib_status trib_checkpoint_parse(const uint8_t *header, size_t header_len, uint64_t data_len,
                                       struct trib_checkpoint_tensor **tensors, size_t *n, struct trib_error *error)
{
    if (header_len > TRIB_SAFETENSORS_HEADER_MAX) {
        return trib_fail(error, TRIB_CORRUPT, "a header of %zu bytes is over the limit of %d", header_len,
                         TRIB_SAFETENSORS_HEADER_MAX);
    }
    struct trib_json json = {.data = header, .len = header_len, .error = error};
    struct tensors made = {0};
    enum trib_status status = read_members(&json, data_len, &made);
    if (status == TRIB_OK) {
        status = check_tensors(&made, data_len, error);
    }
    if (status != TRIB_OK) {
        trib_free(made.items);
        return status;
    }
    *tensors = made.items;
    *n = made.n;
    return TRIB_OK;
}
