/* A damaged state directory under the check of it all, and under a server that is started with it: what is wrong is
 * named, or the run goes on; never a crash.
 *
 * The input is one of three things: a database ("SQLite format 3"); or, with a first byte below 128, patches to the
 * database that a small run has left (four bytes where, a byte how many, those bytes; none: it is cut there); or else
 * values for its records (a byte the table, a byte the column, then the value), which are put there in the proper way.
 */
#include "small_engine.h"

#include "base/buf.h"
#include "base/str.h"
#include "store/state_check.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_BYTES = 1 << 17, MOST_VALUES = 16, MOST_TURNS = 6 };
static const char state_dir[] = "/state", database[] = "/state/state.db";

static uint8_t seed[MOST_BYTES];
static size_t seed_len;

static size_t read_database(uint8_t *to)
{
    struct trib_buf bytes = {0};
    require(trib_file_read(database, MOST_BYTES, &bytes, NULL) == TRIB_OK);
    memcpy(to, bytes.data, bytes.len);
    size_t len = bytes.len;
    trib_buf_clear(&bytes);
    return len;
}

/* A round is open: two clients are at work. */
static void make_seed(void)
{
    struct trib_error error;
    small_disk_begin();
    require(small_start(&error) == TRIB_OK);
    small_join(0, NULL);
    small_join(1, NULL);
    small_turn();
    small_stop();
    seed_len = read_database(seed);
    fuzz_disk_end();
}

/* ---- damage ---- */

static void put_patches(const uint8_t *data, size_t size)
{
    static uint8_t bytes[MOST_BYTES];
    size_t len = seed_len;
    memcpy(bytes, seed, seed_len);
    while (size >= 5 && len > 0) {
        size_t at = trib_load_u32(data) % len, n = data[4];
        n = n < size - 5 ? n : size - 5;
        for (size_t i = 0; i < n && at + i < len; i++) {
            bytes[at + i] = data[5 + i];
        }
        len = n == 0 ? at : len;
        data += 5 + n;
        size -= 5 + n;
    }
    fuzz_disk_write(database, bytes, len);
}

/* A record to change, with bytes that are its own. */
struct copy {
    enum trib_store_table_id table;
    uint8_t record[4096];
    uint8_t values[8][512];
    bool found;
};

static enum trib_status look(void *context, const void *record, struct trib_error *error)
{
    struct copy *copy = context;
    const struct trib_store_layout *layout = trib_store_layout(copy->table);
    (void)error;
    require(layout->record_size <= sizeof copy->record && layout->n_columns < 64);
    memcpy(copy->record, record, layout->record_size);
    for (size_t c = 0, n = 0; c < layout->n_columns; c++) {
        if (layout->columns[c].kind == TRIB_STORE_KIND_BYTES) {
            struct trib_store_bytes bytes;
            memcpy(&bytes, copy->record + layout->columns[c].offset, sizeof bytes);
            require(bytes.len <= sizeof copy->values[0] && n < 8);
            if (bytes.len > 0) {
                memcpy(copy->values[n], bytes.data, bytes.len);
                bytes.data = copy->values[n];
            }
            memcpy(copy->record + layout->columns[c].offset, &bytes, sizeof bytes);
            n++;
        }
    }
    copy->found = true;
    return TRIB_OK;
}

/* Returns how many bytes the value took. */
static size_t set_value(const struct trib_store_column *column, uint8_t *field, const uint8_t *data, size_t size)
{
    static const size_t texts[] = {[TRIB_STORE_KIND_NODE] = TRIB_STORE_NODE_LEN,
                                   [TRIB_STORE_KIND_RUN] = TRIB_STORE_RUN_LEN,
                                   [TRIB_STORE_KIND_TEXT] = TRIB_STORE_TEXT_LEN};
    struct trib_store_bytes bytes = {.data = data + 1};
    uint64_t number = 0;
    size_t len = size > 0 ? data[0] % 64 : 0;
    len = len < size ? len : size - (size > 0);
    switch (column->kind) {
    case TRIB_STORE_KIND_INT:
    case TRIB_STORE_KIND_TIME:
    case TRIB_STORE_KIND_REAL:
        len = size < sizeof number ? size : sizeof number;
        memcpy(&number, data, len);
        number = column->kind == TRIB_STORE_KIND_INT ? number & INT64_MAX : number;
        memcpy(field, &number, sizeof number);
        return len;
    case TRIB_STORE_KIND_NODE:
    case TRIB_STORE_KIND_RUN:
    case TRIB_STORE_KIND_TEXT:
        len = len < texts[column->kind] ? len : texts[column->kind] - 1;
        memset(field, 0, texts[column->kind]);
        for (size_t i = 0; i < len; i++) {
            field[i] = (uint8_t)(' ' + data[1 + i] % 95);
        }
        return 1 + len;
    case TRIB_STORE_KIND_HASH:
        len = size < TRIB_STORE_HASH_LEN ? size : TRIB_STORE_HASH_LEN;
        memcpy(field, data, len);
        return len;
    case TRIB_STORE_KIND_BYTES:
        bytes.len = len;
        memcpy(field, &bytes, sizeof bytes);
        return 1 + len;
    }
    return 0;
}

static void put_values(const uint8_t *data, size_t size)
{
    static struct copy copy;
    struct trib_store *store = NULL;
    fuzz_disk_write(database, seed, seed_len);
    require(trib_store_open(trib_store_backend_find("sqlite"), database, &store, NULL) == TRIB_OK);
    require(trib_store_begin(store, NULL) == TRIB_OK);
    for (int n = 0; n < MOST_VALUES && size >= 3; n++) {
        copy = (struct copy){.table = (enum trib_store_table_id)(data[0] % TRIB_STORE_TABLES)};
        const struct trib_store_layout *layout = trib_store_layout(copy.table);
        const struct trib_store_column *column = &layout->columns[data[1] % layout->n_columns];
        require(trib_store_each(store, copy.table, NULL, 0, look, &copy, NULL) == TRIB_OK);
        if (copy.table == TRIB_STORE_runs && column->key) { /* else there is no run to go on with */
            column = &layout->columns[layout->n_columns - 1];
        }
        size_t used = 2 + set_value(column, copy.record + column->offset, data + 2, size - 2);
        if (trib_store_put(store, copy.table, copy.record, NULL) != TRIB_OK) {
            break;
        }
        data += used < size ? used : size;
        size -= used < size ? used : size;
    }
    if (trib_store_end(store, false, NULL, NULL) != TRIB_OK) { /* a value that no column takes */
        trib_store_undo(store);
    }
    trib_store_close(store);
}

/* ---- what is made of it ---- */

static void report(void *context, bool is_damage, const char *text)
{
    require(text[0] != '\0');
    *(uint64_t *)context += is_damage;
}

static void check_state(void)
{
    struct trib_state_summary summary;
    struct trib_error error = {.message = ""};
    uint64_t damages = 0;
    enum trib_status status = trib_state_check(state_dir, TRIB_MEMBER_STATE_COUNT, report, &damages, &summary, &error);
    require(status == TRIB_OK || error.message[0] != '\0');
    require(damages == summary.damages && (status == TRIB_CORRUPT || damages == 0));
}

static void go_on(void)
{
    struct trib_error error;
    if (small_start(&error) != TRIB_OK) {
        return;
    }
    small_join(0, NULL);
    small_join(2, NULL);
    for (int i = 0; i < MOST_TURNS; i++) {
        small_turn();
        int64_t wake_ms = trib_hub_wake_ms(engine);
        clock_ms = wake_ms > clock_ms && wake_ms < INT64_MAX ? wake_ms : clock_ms + 1000;
    }
    require(trib_hub_failure(engine, &error) == TRIB_OK || error.message[0] != '\0');
    small_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    small_settings(", selector: oort}\n");
    if (seed_len == 0) {
        make_seed();
    }
    if (size == 0 || size > MOST_BYTES) {
        trib_server_settings_clear(&settings);
        return 0;
    }
    small_disk_begin();
    require(trib_disk_mkdir(state_dir, 0700) == 0);
    if (size > 16 && memcmp(data, "SQLite format 3", 16) == 0) {
        fuzz_disk_write(database, data, size);
    } else if (data[0] < 128) {
        put_patches(data + 1, size - 1);
    } else {
        put_values(data + 1, size - 1);
    }
    check_state();
    go_on();
    fuzz_disk_end();
    trib_server_settings_clear(&settings);
    return 0;
}
