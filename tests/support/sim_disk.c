/* The simulated disk: its life, its faults, its counters. */
#include "sim_disk_private.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Descriptors start far above the system's, and each disk has its own, so that a wrong one is never a right one. */
enum { FDS_PER_DISK = 1000000, DISKS = 2000 };

struct sim_disk *sim_disk_new(uint64_t seed)
{
    static atomic_uint made;
    struct sim_disk *disk = sim_alloc(sizeof *disk);
    unsigned serial = atomic_fetch_add(&made, 1);
    disk->table = sim_disk_calls;
    disk->table.disk = disk;
    disk->device = serial + 1;
    disk->first_fd = disk->next_fd = FDS_PER_DISK * (int)(1 + serial % DISKS);
    disk->rng = trib_rng_init(seed, "sim_disk", 0, 0);
    if (pthread_mutex_init(&disk->lock, NULL) != 0) {
        abort();
    }
    disk->root = sim_node_new(disk, SIM_DIR);
    disk->root->parent = disk->root;
    sim_node_take(disk, disk->root);
    return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
    if (!disk) {
        return;
    }
    while (disk->first) {
        sim_node_destroy(disk, disk->first);
    }
    pthread_mutex_destroy(&disk->lock);
    free(disk->open);
    free(disk);
}

const struct trib_disk *sim_disk_table(struct sim_disk *disk)
{
    return &disk->table;
}

/* ---- ends and beginnings ---- */

static void stop(struct sim_disk *disk)
{
    disk->stopped = true;
    disk->stops = false;
    disk->fail_errnum = 0;
    for (size_t i = 0; i < disk->n_open; i++) {
        disk->open[i].node->locked_by = 0;
        sim_node_drop(disk, disk->open[i].node);
    }
    disk->n_open = 0;
}

void sim_disk_kill(struct sim_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    stop(disk);
    pthread_mutex_unlock(&disk->lock);
}

void sim_disk_crash(struct sim_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    stop(disk);
    sim_lose_power(disk);
    pthread_mutex_unlock(&disk->lock);
}

void sim_disk_stop_after(struct sim_disk *disk, uint64_t after)
{
    pthread_mutex_lock(&disk->lock);
    disk->stops = true;
    disk->stop_after = after;
    pthread_mutex_unlock(&disk->lock);
}

bool sim_disk_stopped(struct sim_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    bool stopped = disk->stopped;
    pthread_mutex_unlock(&disk->lock);
    return stopped;
}

void sim_disk_start(struct sim_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    disk->stopped = false;
    disk->stops = false;
    pthread_mutex_unlock(&disk->lock);
}

/* ---- faults ---- */

void sim_disk_capacity(struct sim_disk *disk, uint64_t bytes)
{
    pthread_mutex_lock(&disk->lock);
    disk->capacity = bytes;
    pthread_mutex_unlock(&disk->lock);
}

void sim_disk_fail(struct sim_disk *disk, uint64_t after, int errnum, bool sticky)
{
    pthread_mutex_lock(&disk->lock);
    disk->fail_after = after;
    disk->fail_errnum = errnum;
    disk->fail_sticky = sticky;
    pthread_mutex_unlock(&disk->lock);
}

bool sim_disk_corrupt(struct sim_disk *disk, const char *path, uint64_t offset)
{
    struct sim_found found;
    pthread_mutex_lock(&disk->lock);
    bool there = sim_find(disk, path, true, &found) == 0 && found.node && found.node->kind == SIM_FILE &&
                 offset < found.node->len;
    if (there) {
        sim_file_sync(found.node); /* else a crash might undo it */
        found.node->data[offset] ^= (uint8_t)(1 + trib_rng_below(&disk->rng, 255));
    }
    pthread_mutex_unlock(&disk->lock);
    return there;
}

/* ---- what happened ---- */

struct sim_disk_counts sim_disk_counts(struct sim_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    struct sim_disk_counts counts = disk->counts;
    pthread_mutex_unlock(&disk->lock);
    return counts;
}

static void dump_dir(const struct sim_node *dir, const char *path, FILE *to)
{
    if (dir->n_changes > 0) {
        fprintf(to, "%s/ %zu changes not synced\n", path, dir->n_changes);
    }
    for (size_t i = 0; i < dir->n_entries; i++) {
        const struct sim_node *node = dir->entries[i].node;
        char child[SIM_PATH_MAX];
        snprintf(child, sizeof child, "%s/%s", path, dir->entries[i].name);
        if (node->kind == SIM_DIR) {
            dump_dir(node, child, to);
        } else if (node->kind == SIM_LINK) {
            fprintf(to, "%s -> %s\n", child, node->target);
        } else {
            fprintf(to, "%s %llu bytes, %zu writes not synced\n", child, (unsigned long long)node->len, node->n_writes);
        }
    }
}

void sim_disk_dump(struct sim_disk *disk, FILE *to)
{
    pthread_mutex_lock(&disk->lock);
    dump_dir(disk->root, "", to);
    pthread_mutex_unlock(&disk->lock);
}
