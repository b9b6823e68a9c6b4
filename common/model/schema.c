/* The schema of a model and its initialisation. Pure functions over a graph; any thread. */
#include "model/schema.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

static bool is_variable(const struct trib_value_info *info)
{
    return info->kind == TRIB_VALUE_PARAMETER || info->kind == TRIB_VALUE_STATE;
}

static enum trib_status hash_u64(struct trib_sha256 *hash, uint64_t number)
{
    uint8_t bytes[8];
    trib_store_u64(bytes, number);
    return trib_sha256_add(hash, bytes, sizeof bytes);
}

/* Every field has a fixed width or its length before it, so that two schemas never share an encoding:
 *   "tributary-schema-1" n_tensors { name_len name trained rank dims... }     all numbers as 64-bit little-endian */
static enum trib_status hash_add_schema(struct trib_sha256 *hash, const struct trib_schema *schema)
{
    static const char magic[] = "tributary-schema-1";
    TRIB_TRY(trib_sha256_add(hash, magic, sizeof magic - 1));
    TRIB_TRY(hash_u64(hash, schema->n_tensors));
    for (size_t i = 0; i < schema->n_tensors; i++) {
        const struct trib_schema_tensor *tensor = &schema->tensors[i];
        size_t name_len = strlen(tensor->name);
        TRIB_TRY(hash_u64(hash, name_len));
        TRIB_TRY(trib_sha256_add(hash, tensor->name, name_len));
        TRIB_TRY(hash_u64(hash, tensor->trained ? 1 : 0));
        TRIB_TRY(hash_u64(hash, (uint64_t)tensor->shape.rank));
        for (int d = 0; d < tensor->shape.rank; d++) {
            TRIB_TRY(hash_u64(hash, (uint64_t)tensor->shape.dims[d]));
        }
    }
    return TRIB_OK;
}

static enum trib_status hash_schema(struct trib_schema *schema, struct trib_error *error)
{
    struct trib_sha256 *hash = trib_sha256_new();
    if (!hash) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = hash_add_schema(hash, schema);
    if (status == TRIB_OK) {
        status = trib_sha256_finish(hash, schema->hash);
    }
    trib_sha256_free(hash);
    return status == TRIB_OK ? TRIB_OK : trib_fail(error, status, "SHA-256 failed");
}

static enum trib_status fill_tensors(struct trib_schema *schema, const struct trib_graph *graph,
                                     struct trib_error *error)
{
    for (trib_value v = 0; v < trib_graph_n_values(graph); v++) {
        const struct trib_value_info *info = trib_graph_value(graph, v);
        if (!is_variable(info)) {
            continue;
        }
        struct trib_schema_tensor *tensor = &schema->tensors[schema->n_tensors];
        *tensor = (struct trib_schema_tensor){.shape = info->shape,
                                              .trained = info->kind == TRIB_VALUE_PARAMETER,
                                              .init = info->init,
                                              .offset = schema->n_floats};
        memcpy(tensor->name, info->name, sizeof tensor->name);
        TRIB_TRY(trib_shape_elements(&info->shape, &tensor->n, error));
        if (!trib_size_add(schema->n_floats, tensor->n, &schema->n_floats)) {
            return trib_fail(error, TRIB_LIMIT, "the model has more elements than this machine can address");
        }
        schema->n_tensors++;
    }
    return TRIB_OK;
}

enum trib_status trib_schema_init(struct trib_schema *schema, const struct trib_graph *graph, struct trib_error *error)
{
    size_t n = 0;
    for (trib_value v = 0; v < trib_graph_n_values(graph); v++) {
        n += is_variable(trib_graph_value(graph, v)) ? 1 : 0;
    }
    struct trib_schema made = {.tensors = trib_calloc(n, sizeof *made.tensors)};
    if (!made.tensors) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = fill_tensors(&made, graph, error);
    if (status == TRIB_OK) {
        status = hash_schema(&made, error);
    }
    if (status != TRIB_OK) {
        trib_schema_clear(&made);
        return status;
    }
    *schema = made;
    return TRIB_OK;
}

void trib_schema_clear(struct trib_schema *schema)
{
    trib_free(schema->tensors);
    *schema = (struct trib_schema){0};
}

/* Weights are [out, in] or [out, height, width, in]: fan_in counts what one output sees, fan_out what sees one input.
 */
static void fans(const struct trib_shape *shape, double *fan_in, double *fan_out)
{
    double window = 1;
    for (int d = 1; d < shape->rank - 1; d++) {
        window *= (double)shape->dims[d];
    }
    double out = shape->rank > 0 ? (double)shape->dims[0] : 1;
    double in = shape->rank > 0 ? (double)shape->dims[shape->rank - 1] : 1;
    *fan_in = window * in;
    *fan_out = window * out;
}

static void fill_uniform(float *to, size_t n, double bound, uint64_t seed, const char *name)
{
    struct trib_rng rng = trib_rng_init(seed, "init", trib_hash64(name, strlen(name), 0), 0);
    float a = (float)bound;
    for (size_t i = 0; i < n; i++) {
        to[i] = (2.0f * trib_rng_uniform(&rng) - 1.0f) * a;
    }
}

void trib_schema_initialise(const struct trib_schema *schema, uint64_t seed, float *model)
{
    for (size_t i = 0; i < schema->n_tensors; i++) {
        const struct trib_schema_tensor *tensor = &schema->tensors[i];
        float *to = model + tensor->offset;
        double fan_in, fan_out;
        fans(&tensor->shape, &fan_in, &fan_out);
        switch (tensor->init) {
        case TRIB_INIT_HE_UNIFORM:
            fill_uniform(to, tensor->n, sqrt(6.0 / fmax(fan_in, 1)), seed, tensor->name);
            break;
        case TRIB_INIT_GLOROT_UNIFORM:
            fill_uniform(to, tensor->n, sqrt(6.0 / fmax(fan_in + fan_out, 1)), seed, tensor->name);
            break;
        case TRIB_INIT_ONES:
            for (size_t j = 0; j < tensor->n; j++) {
                to[j] = 1.0f;
            }
            break;
        case TRIB_INIT_ZEROS:
        case TRIB_INIT_COUNT:
            memset(to, 0, tensor->n * sizeof *to);
            break;
        }
    }
}
