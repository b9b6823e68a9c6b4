/* The header of a safetensors file, written; reading it is trib_checkpoint_parse. Private to the block. */
#ifndef TRIB_MODEL_SAFETENSORS_H
#define TRIB_MODEL_SAFETENSORS_H

#include "base/buf.h"
#include "model/checkpoint.h"

enum { TRIB_SAFETENSORS_HEADER_MAX = 16 << 20, TRIB_SAFETENSORS_PREFIX_LEN = 8 };

/* The header is the 8-byte length and the JSON after it, padded with spaces so that the data begins at a multiple of 8.
 * The caller clears `header`. */
TRIB_MUST_CHECK enum trib_status trib_safetensors_header(const struct trib_schema *schema,
                                                         const struct trib_checkpoint_entry *entries, size_t n_entries,
                                                         struct trib_buf *header, struct trib_error *error);

#endif
