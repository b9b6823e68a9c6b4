/* Checkpoints in the safetensors format (8-byte little-endian header length, JSON header, raw little-endian data), so
 * that NumPy and PyTorch users can load them. The header's __metadata__ carries format, schema hash and the caller's
 * entries. Convolution weights are [out, height, width, in]. Writes are atomic and durable. */
#ifndef TRIB_MODEL_CHECKPOINT_H
#define TRIB_MODEL_CHECKPOINT_H

#include "model/schema.h"

/* An entry is text, UTF-8; keys other than "format" and "schema", none twice (TRIB_INVALID). */
struct trib_checkpoint_entry {
    const char *key;
    const char *value;
};
TRIB_MUST_CHECK enum trib_status trib_checkpoint_write(const char *path, const struct trib_schema *schema,
                                                       const float *model, const struct trib_checkpoint_entry *entries,
                                                       size_t n_entries, struct trib_error *error);
/* A sink takes a checkpoint's bytes piece by piece: the header, which goes when the call returns, and the values,
 * straight from `model` where the machine's byte order allows. */
typedef enum trib_status trib_checkpoint_sink(void *context, const void *bytes, size_t len, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_checkpoint_emit(const struct trib_schema *schema, const float *model,
                                                      const struct trib_checkpoint_entry *entries, size_t n_entries,
                                                      trib_checkpoint_sink *sink, void *context,
                                                      struct trib_error *error);
/* The length of those bytes. */
TRIB_MUST_CHECK enum trib_status trib_checkpoint_len(const struct trib_schema *schema,
                                                     const struct trib_checkpoint_entry *entries, size_t n_entries,
                                                     uint64_t *len, struct trib_error *error);
/* Read every tensor of `schema` from the file into model (schema->n_floats). Tensors must match by name, type F32
 * and shape (TRIB_MISMATCH names the first that does not); tensors that the schema lacks are an error too. A
 * truncated, oversized or overlapping file is TRIB_CORRUPT. All that is checked before the first byte goes to model,
 * so that only a failing disk (TRIB_IO) leaves it half written. */
TRIB_MUST_CHECK enum trib_status trib_checkpoint_read(const char *path, const struct trib_schema *schema, float *model,
                                                      struct trib_error *error);
/* Read every value of a checkpoint of any model, in the order of its file, which is the schema's for checkpoints
 * written here; the caller frees *values by trib_free. TRIB_CORRUPT as above; TRIB_INVALID when it holds none. */
TRIB_MUST_CHECK enum trib_status trib_checkpoint_read_values(const char *path, float **values, size_t *n,
                                                             struct trib_error *error);
/* The parser of the header, over bytes (for fuzzing): checks the JSON header of a file with data_len bytes of data
 * after it, and lists the tensors in the order of their data; the caller frees the list by trib_free. */
struct trib_checkpoint_tensor {
    char name[TRIB_VALUE_NAME_LEN];
    struct trib_shape shape;
    uint64_t begin, end; /* from the start of the data section */
};
TRIB_MUST_CHECK enum trib_status trib_checkpoint_parse(const uint8_t *header, size_t header_len, uint64_t data_len,
                                                       struct trib_checkpoint_tensor **tensors, size_t *n,
                                                       struct trib_error *error);

#endif
