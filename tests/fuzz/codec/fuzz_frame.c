/* Any bytes as a frame: never a crash, a value that is not finite, an element too many, or two answers. The bytes are
 * walked as they are and once more with a CRC that fits, or the fuzzer would hardly get behind it. */
#include "codec/frame.h"

#include "base/buf.h"
#include "base/crc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static enum trib_status read_blob(void *context, uint64_t offset, void *to, size_t len, struct trib_error *error)
{
    (void)error;
    const struct trib_blob *blob = context;
    require(offset <= trib_blob_len(blob) && len <= trib_blob_len(blob) - offset);
    memcpy(to, trib_blob_data(blob) + offset, len);
    return TRIB_OK;
}

static enum trib_status visit(void *context, size_t first, const float *values, size_t n, struct trib_error *error)
{
    (void)error;
    size_t *next = context;
    require(first == *next && n > 0 && n <= TRIB_CODEC_BLOCK);
    for (size_t i = 0; i < n; i++) {
        require(isfinite(values[i]));
    }
    *next += n;
    return TRIB_OK;
}

/* What was accepted decodes again; plain numbers are a frame that we could have made: the same bytes come back. */
static void check_accepted(const struct trib_blob *blob, const struct trib_frame_source *source,
                           const struct trib_frame_header *header)
{
    size_t n = (size_t)header->n_elements;
    float *vector = malloc(n * sizeof *vector);
    struct trib_blob *again = NULL;
    struct trib_frame_expect expect = {.kind = header->kind, .schema = header->schema, .n_elements = n};
    require(vector);
    require(trib_frame_decode(source, &expect, vector, n, NULL) == TRIB_OK);
    if (trib_chain_plain(&header->chain)) {
        const struct trib_frame_job job = {.kind = header->kind,
                                           .chain = &header->chain,
                                           .seed = header->seed,
                                           .schema = header->schema,
                                           .vector = vector,
                                           .n = n};
        require(trib_frame_encode(&job, &again, NULL) == TRIB_OK);
        require(trib_blob_len(again) == trib_blob_len(blob));
        require(memcmp(trib_blob_data(again), trib_blob_data(blob), trib_blob_len(blob)) == 0);
    }
    trib_blob_unref(again);
    free(vector);
}

static void walk(const uint8_t *data, size_t size, bool fit_crc)
{
    struct trib_blob *blob = trib_blob_copy(data, size);
    require(blob);
    if (fit_crc && size >= TRIB_FRAME_CRC_LEN) {
        uint8_t *bytes = trib_blob_fill(blob);
        trib_store_u32(bytes + size - TRIB_FRAME_CRC_LEN, trib_crc32c(0, bytes, size - TRIB_FRAME_CRC_LEN));
    }
    struct trib_frame_source memory = trib_frame_source_memory(blob);
    struct trib_frame_source spooled = {.read = read_blob, .context = memory.context, .len = size};
    struct trib_error first = {0}, second = {0};
    struct trib_frame_header header;
    size_t next = 0, next_again = 0;
    enum trib_status status = trib_frame_walk(&memory, NULL, NULL, visit, &next, &header, &first);
    require(trib_frame_walk(&spooled, NULL, NULL, visit, &next_again, NULL, &second) == status && next == next_again);
    require(strcmp(first.message, second.message) == 0);
    if (status == TRIB_OK) {
        require(next == header.n_elements && header.frame_len == size);
        check_accepted(blob, &memory, &header);
    } else {
        require(first.message[0] != '\0');
    }
    trib_blob_unref(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk(data, size, false);
    walk(data, size, true);
    return 0;
}
