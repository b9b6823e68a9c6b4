/* Any bytes as a client's states of error feedback: never a crash, and never a failure of the training that begins with
 * them. Each file's checksum is put right in a second try, so that what is behind it is reached.
 *
 * The input: a byte that says which of the two files it is, then the file. Run, schema and number of elements of the
 * round that begins are those of the file, so far as they can be. */
#include "../fuzz_disk.h"
#include "base/buf.h"
#include "base/crc.h"
#include "base/str.h"
#include "client/feedback_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    HEAD_LEN = 128,
    KIND_AT = 8,
    N_AT = 16,
    ROUND_AT = 24,
    SCHEMA_AT = 32,
    RUN_AT = 64,
    MOST_N = 4096,
    RUN_MOST = 32
};
static const char dir[] = "/client";

/* What a round would ask for to which the file's head belongs. */
static struct trib_feedback_round round_of(const uint8_t *bytes, size_t len, char run[64], size_t *n)
{
    struct trib_feedback_round round = {.run = run, .round = 5};
    static const uint8_t no_schema[32];
    (void)trib_str_copy(run, 64, "run-a");
    *n = 1;
    round.schema = no_schema;
    round.feedback.kind = TRIB_FEEDBACK_EF;
    if (len >= HEAD_LEN) {
        uint32_t kind = trib_load_u32(bytes + KIND_AT);
        uint64_t elements = trib_load_u64(bytes + N_AT);
        round.schema = bytes + SCHEMA_AT;
        round.round = trib_load_u64(bytes + ROUND_AT) + 1;
        round.folded_round = round.round - 1;
        *n = elements > 0 && elements <= MOST_N ? (size_t)elements : 1;
        round.feedback.kind = kind == TRIB_FEEDBACK_EF21  ? TRIB_FEEDBACK_EF21
                              : kind == TRIB_FEEDBACK_DGC ? TRIB_FEEDBACK_DGC
                                                          : TRIB_FEEDBACK_EF;
        round.feedback.momentum = 0.5f;
        memcpy(run, bytes + RUN_AT, RUN_MOST);
        run[RUN_MOST] = '\0';
    }
    return round;
}

/* A round from its task to its outcome, and the beginning of the next one. */
static void play(const uint8_t *bytes, size_t len)
{
    static float vector[MOST_N];
    char run[64];
    size_t n;
    uint64_t known;
    struct trib_feedback_store *store = NULL;
    struct trib_error error = {.message = ""};
    struct trib_feedback_round round = round_of(bytes, len, run, &n);
    memset(vector, 0, sizeof vector);
    require(trib_feedback_store_new(dir, &store, &error) == TRIB_OK);
    (void)trib_feedback_store_awaits(dir, run, round.round - 1);
    require(trib_feedback_store_begin(store, &round, vector, n, &known, &error) == TRIB_OK);
    require(trib_feedback_store_keep(store, vector, &error) == TRIB_OK);
    trib_feedback_store_settle(store, run, round.round, true);
    round.folded_round = round.round++;
    require(trib_feedback_store_begin(store, &round, vector, n, &known, &error) == TRIB_OK);
    trib_feedback_store_abandon(store, NULL);
    trib_feedback_store_free(store);
}

static void check(const uint8_t *bytes, size_t len, uint8_t which)
{
    fuzz_disk_begin();
    require(trib_disk_mkdir(dir, 0700) == 0);
    if (which != 1) {
        fuzz_disk_write("/client/feedback", bytes, len);
    }
    if (which != 0) {
        fuzz_disk_write("/client/feedback.pending", bytes, len);
    }
    play(bytes, len);
    fuzz_disk_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    uint8_t which = data[0] % 3;
    check(data + 1, size - 1, which);
    if (size - 1 > HEAD_LEN + 4) {
        uint8_t *mended = malloc(size - 1);
        require(mended);
        memcpy(mended, data + 1, size - 1);
        trib_store_u32(mended + size - 5, trib_crc32c(0, mended, size - 5));
        check(mended, size - 1, which);
        free(mended);
    }
    return 0;
}
