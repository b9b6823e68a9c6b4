/* What of the simulated disk is not synced, and what becomes of it when the power goes. A file is kept as its readers
 * see it, with a log of what each unsynced write did away with: to lose power is to undo the log, which leaves what is
 * durable, and to do again what survives. */
#include "sim_disk_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- content ---- */

static void make_room(struct sim_node *file, uint64_t len)
{
    if (len <= file->capacity) {
        return;
    }
    uint64_t wanted = file->capacity * 2 > len ? file->capacity * 2 : len;
    uint8_t *grown = realloc(file->data, (size_t)wanted);
    if (!grown) {
        abort();
    }
    memset(grown + file->capacity, 0, (size_t)(wanted - file->capacity));
    file->data = grown;
    file->capacity = wanted;
}

/* Bytes beyond the end are always zeros, so that a file that grows over them shows no old ones. */
static void set_len(struct sim_disk *disk, struct sim_node *file, uint64_t len)
{
    make_room(file, len);
    if (len < file->len) {
        memset(file->data + len, 0, (size_t)(file->len - len));
    }
    disk->counts.held += file->uses > 0 ? len - file->len : 0; /* modulo 2^64, which is right */
    file->len = len;
}

static uint8_t *copy_bytes(const uint8_t *from, uint64_t len)
{
    return len > 0 ? memcpy(sim_alloc((size_t)len), from, (size_t)len) : NULL;
}

static struct sim_write *note_write(struct sim_node *file)
{
    file->writes = sim_grow(file->writes, file->n_writes, &file->writes_capacity, sizeof *file->writes);
    struct sim_write *write = &file->writes[file->n_writes++];
    *write = (struct sim_write){.len_before = file->len};
    return write;
}

void sim_file_write(struct sim_disk *disk, struct sim_node *file, const void *from, uint64_t len, uint64_t offset)
{
    struct sim_write *write = note_write(file);
    uint64_t end = offset + len, had = offset < file->len ? (end < file->len ? end : file->len) - offset : 0;
    write->offset = offset;
    write->len = len;
    write->len_after = end > file->len ? end : file->len;
    write->saved = had > 0 ? copy_bytes(file->data + offset, had) : NULL;
    write->saved_len = had;
    if (end > file->len) {
        set_len(disk, file, end);
    }
    memcpy(file->data + offset, from, (size_t)len);
    disk->counts.bytes_written += len;
}

void sim_file_resize(struct sim_disk *disk, struct sim_node *file, uint64_t len)
{
    if (len == file->len) {
        return;
    }
    struct sim_write *write = note_write(file);
    write->resize = true;
    write->len_after = len;
    if (len < file->len) {
        write->saved_len = file->len - len;
        write->saved = copy_bytes(file->data + len, write->saved_len);
    }
    set_len(disk, file, len);
}

/* ---- syncs ---- */

void sim_file_forget(struct sim_node *file)
{
    for (size_t i = 0; i < file->n_writes; i++) {
        free(file->writes[i].saved);
    }
    file->n_writes = 0;
}

static bool in_doubt(const struct sim_node *file)
{
    for (size_t i = 0; i < file->n_writes; i++) {
        if (file->writes[i].state == SIM_DOUBTFUL) {
            return true;
        }
    }
    return false;
}

static void settle(struct sim_node *file, enum sim_write_state state)
{
    for (size_t i = 0; i < file->n_writes; i++) {
        if (file->writes[i].state == SIM_PENDING) {
            file->writes[i].state = state;
        }
    }
}

void sim_file_sync(struct sim_node *file)
{
    if (in_doubt(file)) {
        settle(file, SIM_DURABLE);
    } else {
        sim_file_forget(file);
    }
}

void sim_file_doubt(struct sim_node *file)
{
    settle(file, SIM_DOUBTFUL);
}

/* The change by which a folder got what another one gave away; its number from 1, 0 = durable already. */
static size_t gaining_change(const struct sim_node *dir, uint64_t rename)
{
    for (size_t i = 0; i < dir->n_changes; i++) {
        if (dir->changes[i].rename == rename && !dir->changes[i].gained) {
            return i + 1;
        }
    }
    return 0;
}

static void drop_change(struct sim_disk *disk, struct sim_change *change)
{
    for (unsigned p = 0; p < change->n_parts; p++) {
        free(change->part[p].name);
        sim_node_unref(disk, change->part[p].before);
    }
    sim_node_unref(disk, change->gained);
}

/* The changes leave the log before they are dropped: dropping one may lead back here. */
void sim_dir_sync(struct sim_disk *disk, struct sim_node *dir, size_t n)
{
    if (n == 0) {
        return;
    }
    struct sim_change *done = sim_alloc(n * sizeof *done);
    memcpy(done, dir->changes, n * sizeof *done);
    dir->n_changes -= n;
    memmove(dir->changes, dir->changes + n, dir->n_changes * sizeof *dir->changes);
    for (size_t i = 0; i < n; i++) {
        if (done[i].gained) {
            sim_dir_sync(disk, done[i].gained, gaining_change(done[i].gained, done[i].rename));
        }
        drop_change(disk, &done[i]);
    }
    free(done);
}

void sim_dir_forget(struct sim_disk *disk, struct sim_node *dir)
{
    while (dir->n_changes > 0) {
        drop_change(disk, &dir->changes[--dir->n_changes]);
    }
}

/* ---- power loss: files ---- */

/* What the write put there takes the place of what it did away with. */
static void undo_write(struct sim_disk *disk, struct sim_node *file, struct sim_write *write)
{
    uint8_t *put = NULL;
    uint64_t at = write->resize ? write->len_after : write->offset;
    if (!write->resize) {
        put = copy_bytes(file->data + write->offset, write->len);
    }
    set_len(disk, file, write->len_before);
    if (write->saved_len > 0) {
        memcpy(file->data + at, write->saved, (size_t)write->saved_len);
    }
    free(write->saved);
    write->saved = put;
    write->saved_len = 0;
}

/* Some bytes of a write reach the disk, as far as the file is long. */
static void put_bytes(struct sim_node *file, const struct sim_write *write, uint64_t begin, uint64_t end)
{
    uint64_t limit = file->len > write->offset ? file->len - write->offset : 0;
    end = end < limit ? end : limit;
    if (begin < end) {
        memcpy(file->data + write->offset + begin, write->saved + begin, (size_t)(end - begin));
    }
}

static void redo_write(struct sim_disk *disk, struct sim_node *file, const struct sim_write *write)
{
    if (write->resize) {
        set_len(disk, file, write->len_after);
        return;
    }
    if (write->offset + write->len > file->len) {
        set_len(disk, file, write->offset + write->len);
    }
    put_bytes(file, write, 0, write->len);
}

static void put_sector(struct sim_disk *disk, struct sim_node *file, const struct sim_write *write, uint64_t begin,
                       uint64_t end)
{
    enum { KEPT = 8, TORN = 10, GARBAGE = 11, FATES = 20 };
    uint64_t fate = trib_rng_below(&disk->rng, FATES);
    if (fate < KEPT) {
        put_bytes(file, write, begin, end);
    } else if (fate < TORN) {
        put_bytes(file, write, begin, begin + trib_rng_below(&disk->rng, end - begin + 1));
    } else if (fate < GARBAGE) {
        for (uint64_t i = begin; i < end; i++) {
            write->saved[i] = (uint8_t)trib_rng_u32(&disk->rng);
        }
        put_bytes(file, write, begin, end);
    }
}

static void redo_some(struct sim_disk *disk, struct sim_node *file, const struct sim_write *write)
{
    bool len_survives = trib_rng_below(&disk->rng, 2) == 0;
    if (write->resize) {
        if (len_survives) {
            set_len(disk, file, write->len_after);
        }
        return;
    }
    uint64_t end = write->offset + write->len;
    if (len_survives && end > file->len) {
        set_len(disk, file, end);
    }
    for (uint64_t at = write->offset; at < end;) {
        uint64_t next = (at / SIM_SECTOR + 1) * SIM_SECTOR;
        next = next < end ? next : end;
        put_sector(disk, file, write, at - write->offset, next - write->offset);
        at = next;
    }
}

/* The write in the middle of which the power went: its first bytes are there, and it made the file that much longer. */
static void redo_torn(struct sim_disk *disk, struct sim_node *file, const struct sim_write *write)
{
    if (write->resize) {
        redo_some(disk, file, write);
        return;
    }
    uint64_t len = trib_rng_below(&disk->rng, write->len + 1);
    if (len > 0 && write->offset + len > file->len) {
        set_len(disk, file, write->offset + len);
    }
    put_bytes(file, write, 0, len);
}

enum manner { NONE, ALL, FIRST, SOME };

static void crash_file(struct sim_disk *disk, struct sim_node *file)
{
    static const enum manner manners[] = {NONE, ALL, FIRST, FIRST, FIRST, SOME, SOME, SOME};
    if (file->n_writes == 0) {
        return;
    }
    for (size_t i = file->n_writes; i-- > 0;) {
        undo_write(disk, file, &file->writes[i]);
    }
    enum manner manner = manners[trib_rng_below(&disk->rng, sizeof manners / sizeof *manners)];
    uint64_t first = trib_rng_below(&disk->rng, file->n_writes + 1);
    for (size_t i = 0; i < file->n_writes; i++) {
        const struct sim_write *write = &file->writes[i];
        if (write->state == SIM_DURABLE) {
            redo_write(disk, file, write);
        } else if (manner == SOME || (write->state == SIM_DOUBTFUL && manner != NONE)) {
            redo_some(disk, file, write);
        } else if (manner == ALL || (manner == FIRST && i < first)) {
            redo_write(disk, file, write);
        } else if (manner == FIRST && i == first) {
            redo_torn(disk, file, write);
        }
    }
    sim_file_forget(file);
}

/* ---- power loss: folders ---- */

static size_t choose_survivors(struct sim_disk *disk, size_t n)
{
    uint64_t manner = trib_rng_below(&disk->rng, 4);
    if (n == 0 || manner == 0) {
        return 0;
    }
    return manner == 1 ? n : (size_t)trib_rng_below(&disk->rng, n + 1);
}

/* A folder that lost a name to another one for good: the other one has it for good as well. */
static bool spread_survival(struct sim_disk *disk)
{
    bool spread = false;
    for (struct sim_node *dir = disk->first; dir; dir = dir->next) {
        for (size_t i = 0; i < dir->survive; i++) {
            struct sim_node *gained = dir->changes[i].gained;
            size_t least = gained ? gaining_change(gained, dir->changes[i].rename) : 0;
            if (least > 0 && gained->survive < least) {
                gained->survive = least;
                spread = true;
            }
        }
    }
    return spread;
}

static void undo_changes(struct sim_disk *disk, struct sim_node *dir)
{
    for (size_t i = dir->n_changes; i-- > dir->survive;) {
        struct sim_change *change = &dir->changes[i];
        for (unsigned p = change->n_parts; p-- > 0;) {
            sim_dir_set(disk, dir, change->part[p].name, change->part[p].before);
        }
    }
}

/* Nodes may go while this runs, but none that is in a folder which has not been looked at: each is held. */
void sim_lose_power(struct sim_disk *disk)
{
    size_t n = 0;
    for (struct sim_node *node = disk->first; node; node = node->next) {
        node->survive = choose_survivors(disk, node->n_changes);
        sim_node_ref(node);
        n++;
    }
    while (spread_survival(disk)) {
    }
    struct sim_node **nodes = sim_alloc(n * sizeof *nodes), **at = nodes;
    for (struct sim_node *node = disk->first; node; node = node->next) {
        *at++ = node;
        undo_changes(disk, node);
        crash_file(disk, node);
        node->locked_by = 0;
    }
    for (size_t i = 0; i < n; i++) {
        sim_dir_forget(disk, nodes[i]);
    }
    for (size_t i = 0; i < n; i++) {
        sim_node_unref(disk, nodes[i]);
    }
    free(nodes);
}
