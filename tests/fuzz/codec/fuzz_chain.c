/* Any bytes as a chain's text, and any bytes as a block of any chain. The first byte says which: 0 = text, else the
 * number of stages; their ids follow, each folded onto those that exist, then two bytes of length and the block. */
#include "codec/chain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N = 300, MOST = 5000 };

static struct trib_chain_work *work;

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* What parses also encodes and decodes. */
static void try_text(const uint8_t *data, size_t size)
{
    char text[300];
    struct trib_chain chain;
    struct trib_error error = {0};
    size_t len = size < sizeof text - 1 ? size : sizeof text - 1;
    memcpy(text, data, len);
    text[len] = '\0';
    if (trib_chain_parse(text, &chain, &error) != TRIB_OK) {
        require(error.message[0] != '\0');
        return;
    }
    float values[N], decoded[N];
    for (int i = 0; i < N; i++) {
        values[i] = (float)(i * 37 % 101 - 50) / 1024;
    }
    uint8_t coded[N * sizeof(float) + N + 4096];
    struct trib_survey *survey = NULL;
    size_t coded_len = 0;
    if (trib_survey_new(&chain, 1, values, N, &survey, &error) == TRIB_OK) {
        require(trib_chain_bound(N) <= sizeof coded);
        enum trib_status status =
            trib_chain_encode_block(&chain, survey, work, 1, 0, values, N, coded, sizeof coded, &coded_len);
        require(status == TRIB_OK || status == TRIB_NOT_FINITE || status == TRIB_INVALID);
        if (status == TRIB_OK) {
            require(trib_chain_decode_block(&chain, work, 1, 0, coded, coded_len, decoded, N) == TRIB_OK);
        }
    }
    trib_survey_free(survey);
}

static void try_block(const uint8_t *data, size_t size)
{
    const struct trib_stage *const *stages;
    size_t n_stages = 1 + data[0] % 4, n_known = trib_stages(&stages);
    uint8_t ids[4];
    struct trib_chain chain;
    struct trib_error error;
    if (size < 1 + n_stages + 2) {
        return;
    }
    for (size_t i = 0; i < n_stages; i++) {
        ids[i] = stages[data[1 + i] % n_known]->id;
    }
    if (trib_chain_from_ids(ids, n_stages, &chain, &error) != TRIB_OK) {
        return;
    }
    float decoded[MOST];
    size_t n = 1 + (size_t)trib_load_u16(data + 1 + n_stages) % MOST, at = 1 + n_stages + 2;
    enum trib_status status = trib_chain_decode_block(&chain, work, 5, 1, data + at, size - at, decoded, n);
    require(status == TRIB_OK || status == TRIB_CORRUPT || status == TRIB_NOT_FINITE);
    for (size_t i = 0; i < n && status == TRIB_OK; i++) {
        require(isfinite(decoded[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!work) {
        work = trib_chain_work_new(); /* for the process's life */
        require(work);
    }
    if (size > 0 && data[0] == 0) {
        try_text(data + 1, size - 1);
    } else if (size > 0) {
        try_block(data, size);
    }
    return 0;
}
