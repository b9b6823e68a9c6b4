/* Any chunks in any order into the table of uploads: what is told to be whole has the hash that was granted, and a
 * restart finds no more than what was received.
 *
 * The input: steps, each a byte that says what is done and to which of two blobs, and what that needs. */
#include "../../../server/intake/uploads_private.h"

#include "../fuzz_disk.h"
#include "base/crc.h"
#include "crypto/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOBS = 2, LEN = 600, MOST_STEPS = 300 };
static const char *const nodes[BLOBS] = {"client-0", "client-1"};

struct input {
    const uint8_t *data;
    size_t len;
};

static struct trib_uploads *table;
static uint8_t bytes[BLOBS][LEN], digests[BLOBS][32];
static unsigned n_whole, n_ended;

static uint8_t take_byte(struct input *input)
{
    if (input->len == 0) {
        return 0;
    }
    input->len--;
    return *input->data++;
}

static void check_whole(struct trib_upload *upload)
{
    uint8_t found[LEN];
    const struct trib_frame_source source = trib_upload_source(upload);
    require(source.len == LEN && upload->client < BLOBS);
    require(!source.memory || memcmp(source.memory, bytes[upload->client], LEN) == 0);
    if (!source.memory) {
        require(source.read(source.context, 0, found, LEN, NULL) == TRIB_OK);
        require(memcmp(found, bytes[upload->client], LEN) == 0);
    }
}

static void on_ended(void *context, struct trib_upload *upload, const struct trib_error *fault)
{
    (void)context;
    n_ended++;
    if (!fault) {
        n_whole++;
        check_whole(upload);
    }
}

static void begin(const char *dir)
{
    require(trib_uploads_new(dir, on_ended, NULL, &table, NULL) == TRIB_OK);
    trib_uploads_name_run(table, "run-1");
}

/* ---- steps ---- */

static void grant(uint32_t i)
{
    uint64_t offset = 0;
    trib_uploads_discard(table, i);
    require(trib_uploads_grant(table, nodes[i], i, 1, 1, digests[i], LEN, &offset, NULL) == TRIB_OK);
    require(offset <= LEN);
}

static struct trib_chunk chunk_of(struct input *input, uint32_t i, uint64_t at, size_t *payload)
{
    uint8_t flags = take_byte(input), len = take_byte(input);
    *payload = len;
    struct trib_chunk chunk = {.run = "run-1",
                               .round = 1 + (flags & 1),
                               .has_sha256 = !(flags & 2),
                               .blob_len = LEN + (flags >> 2 & 1),
                               .offset = at + (flags & 8),
                               .last = at + len == LEN,
                               .payload_len = len};
    chunk.last = flags & 16 ? !chunk.last : chunk.last;
    chunk.crc32c = at + len <= LEN ? trib_crc32c(0, bytes[i] + at, len) : 0;
    chunk.crc32c ^= flags & 32;
    memcpy(chunk.sha256, digests[flags & 64 ? 1 - i : i], sizeof chunk.sha256);
    return chunk;
}

/* One call of the transport's: a few chunks from where it is to go on. */
static void send(struct input *input, uint32_t i)
{
    struct trib_upload *upload = NULL;
    struct trib_error error = {.message = ""};
    enum trib_status status = TRIB_OK;
    bool complete = false;
    uint64_t at = (uint64_t)take_byte(input) * 4;
    unsigned chunks = take_byte(input) % 8 + 1;
    for (unsigned c = 0; status == TRIB_OK && !complete && c < chunks && at < LEN; c++) {
        size_t len;
        const struct trib_chunk chunk = chunk_of(input, i, at, &len);
        len = at + len <= LEN ? len : LEN - (size_t)at;
        status = upload ? TRIB_OK : trib_uploads_open(table, nodes[i], &chunk, &upload, &error);
        if (status == TRIB_OK) {
            status = trib_upload_begin(upload, &chunk, &error);
        }
        for (size_t piece = 0; status == TRIB_OK && piece < len; piece += 100) {
            size_t piece_len = len - piece < 100 ? len - piece : 100;
            status = trib_upload_piece(upload, bytes[i] + at + piece, piece_len, &error);
        }
        if (status == TRIB_OK) {
            status = trib_upload_end(upload, &chunk, &complete, &error);
        }
        require(status == TRIB_OK || error.message[0] != '\0');
        at += len;
    }
    if (upload) {
        require(trib_upload_received(upload) <= LEN);
        trib_upload_close(upload, status == TRIB_OK ? NULL : &error);
    }
}

static void take(uint32_t i)
{
    struct trib_upload *upload = trib_uploads_take_complete(table, i);
    if (upload) {
        check_whole(upload);
        trib_upload_unwanted(upload);
        trib_upload_unref(upload);
    }
}

static void recover(uint32_t i)
{
    struct trib_upload *upload = NULL;
    struct trib_error error = {.message = ""};
    trib_uploads_discard(table, i);
    if (trib_uploads_recover(table, nodes[i], i, digests[i], LEN, &upload, &error) == TRIB_OK) {
        check_whole(upload);
        trib_uploads_put(table, upload, 1, 1);
    } else {
        require(error.message[0] != '\0');
    }
}

static bool keep(void *context, const char *name)
{
    (void)name;
    return *(const bool *)context;
}

static void step(struct input *input, const char *dir)
{
    uint8_t what = take_byte(input);
    uint32_t i = what >> 7;
    bool keeps = what & 64;
    switch (what & 7) {
    case 0:
        grant(i);
        break;
    case 1:
    case 2:
    case 3:
        send(input, i);
        break;
    case 4:
        take(i);
        break;
    case 5:
        recover(i);
        break;
    case 6:
        trib_uploads_discard(table, i);
        break;
    case 7: /* the next process */
        trib_uploads_free(table);
        begin(dir);
        trib_uploads_sweep(table, keep, &keeps);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.data = data, .len = size};
    const char *dir = take_byte(&input) & 1 ? "/state" : NULL;
    for (unsigned i = 0; i < BLOBS; i++) {
        for (unsigned b = 0; b < LEN; b++) {
            bytes[i][b] = (uint8_t)(b * (i + 3));
        }
        require(trib_sha256(bytes[i], LEN, digests[i]) == TRIB_OK);
    }
    fuzz_disk_begin();
    require(trib_disk_mkdir("/state", 0700) == 0);
    begin(dir);
    for (int steps = 0; input.len > 0 && steps < MOST_STEPS; steps++) {
        step(&input, dir);
    }
    trib_uploads_free(table);
    fuzz_disk_end();
    return 0;
}
