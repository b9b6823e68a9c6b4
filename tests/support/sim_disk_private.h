/* The insides of the simulated disk: nodes (files, folders, symbolic links), what of them is not synced yet, and the
 * ways in. All under the disk's lock. */
#ifndef TRIB_TEST_SIM_DISK_PRIVATE_H
#define TRIB_TEST_SIM_DISK_PRIVATE_H

#include "sim_disk.h"

#include "base/rng.h"

#include <pthread.h>
#include <stddef.h>

enum { SIM_SECTOR = 512, SIM_NAME_MAX = 255, SIM_PATH_MAX = 4096 };
enum sim_kind { SIM_FILE, SIM_DIR, SIM_LINK };

/* One unsynced write or truncation. `saved` is what it did away with; while a crash is being worked out, what it put
 * there. */
enum sim_write_state {
    SIM_PENDING,  /* not synced */
    SIM_DOUBTFUL, /* a sync failed: nobody knows */
    SIM_DURABLE   /* synced, but stands in the log after a doubtful one */
};
struct sim_write {
    bool resize;          /* else: a write */
    uint64_t offset, len; /* of a write */
    uint64_t len_before, len_after;
    uint8_t *saved;
    uint64_t saved_len;
    enum sim_write_state state;
};

/* One unsynced change of a folder: names (two in a rename within it) and what they led to before. */
struct sim_change {
    struct {
        char *name;
        struct sim_node *before; /* NULL = it was free */
    } part[2];
    unsigned n_parts;
    uint64_t rename;         /* shared by both halves of a rename between folders; 0 = another change */
    struct sim_node *gained; /* of the half that takes the name away: the folder that gets it */
};

struct sim_entry {
    char *name;
    struct sim_node *node;
};

struct sim_node {
    enum sim_kind kind;
    uint64_t number;
    size_t refs; /* names, descriptors, changes that may be undone */
    size_t uses; /* of these names and descriptors: 0 = it takes no room */
    struct sim_node *previous, *next;
    int locked_by; /* a descriptor; 0 = none */

    uint8_t *data; /* of a file: zeros from len to capacity */
    uint64_t len, capacity;
    struct sim_write *writes;
    size_t n_writes, writes_capacity;

    struct sim_node *parent;   /* of a folder; borrowed */
    struct sim_entry *entries; /* sorted */
    size_t n_entries, entries_capacity;
    struct sim_change *changes;
    size_t n_changes, changes_capacity;
    size_t survive; /* during a crash: this many changes */

    char *target; /* of a link */
};

struct sim_open {
    int fd;
    int flags;
    struct sim_node *node;
};

struct sim_disk {
    struct trib_disk table;
    pthread_mutex_t lock;
    struct trib_rng rng;
    uint64_t device;
    struct sim_node *first, *last; /* every node, oldest first */
    struct sim_node *root;
    uint64_t next_number, next_rename;
    struct sim_open *open;
    size_t n_open, open_capacity;
    int first_fd, next_fd;
    uint64_t capacity;
    bool stopped;
    bool stops;
    uint64_t stop_after;
    int fail_errnum; /* 0 = none */
    uint64_t fail_after;
    bool fail_sticky;
    struct sim_disk_counts counts;
};

/* ---- memory: aborts when there is none ---- */
void *sim_alloc(size_t len); /* zeroed */
char *sim_copy_text(const char *text);
/* Room for one more. */
void *sim_grow(void *items, size_t n, size_t *capacity, size_t size);

/* ---- nodes and names: sim_disk_tree.c ---- */
struct sim_node *sim_node_new(struct sim_disk *disk, enum sim_kind kind); /* with no reference yet */
void sim_node_ref(struct sim_node *node);
void sim_node_unref(struct sim_disk *disk, struct sim_node *node); /* NULL is allowed */
/* By a name or a descriptor, which are references, too. */
void sim_node_take(struct sim_disk *disk, struct sim_node *node);
void sim_node_drop(struct sim_disk *disk, struct sim_node *node);
void sim_node_destroy(struct sim_disk *disk, struct sim_node *node);
struct sim_node *sim_dir_get(const struct sim_node *dir, const char *name);
/* Lead a name to `node` (NULL: nowhere), without a note of it. */
void sim_dir_set(struct sim_disk *disk, struct sim_node *dir, const char *name, struct sim_node *node);
/* The same as a change that is not synced: begin one, then set the names. */
struct sim_change *sim_change_new(struct sim_node *dir);
void sim_change_set(struct sim_disk *disk, struct sim_node *dir, const char *name, struct sim_node *node);

struct sim_found {
    struct sim_node *dir; /* that the last name stands in */
    char name[SIM_NAME_MAX + 1];
    struct sim_node *node; /* NULL: the folder is there, the name is not */
};
/* -1 and errno when the way there is not. A link at the end is followed only with `follow`; one that leads nowhere is
 * then found as the free name at its end. */
int sim_find(struct sim_disk *disk, const char *path, bool follow, struct sim_found *found);

/* ---- content and durability: sim_disk_log.c ---- */
void sim_file_write(struct sim_disk *disk, struct sim_node *file, const void *from, uint64_t len, uint64_t offset);
void sim_file_resize(struct sim_disk *disk, struct sim_node *file, uint64_t len);
void sim_file_sync(struct sim_node *file);
void sim_file_doubt(struct sim_node *file);  /* a sync failed */
void sim_file_forget(struct sim_node *file); /* the log, as if it had never been */
/* The first n changes are durable. */
void sim_dir_sync(struct sim_disk *disk, struct sim_node *dir, size_t n);
void sim_dir_forget(struct sim_disk *disk, struct sim_node *dir);
void sim_lose_power(struct sim_disk *disk);

/* ---- changes of names: sim_disk_names.c ---- */
int sim_fail(int errnum); /* sets errno, returns -1 */
struct sim_node *sim_create(struct sim_disk *disk, const struct sim_found *found, enum sim_kind kind);
int sim_do_rename(struct sim_disk *disk, const char *from_path, const char *to_path);
int sim_do_link(struct sim_disk *disk, const char *from_path, const char *to_path);
/* A folder or, with a target, a link. */
int sim_do_make(struct sim_disk *disk, const char *path, enum sim_kind kind, const char *target);
int sim_do_unlink(struct sim_disk *disk, const char *path);
struct sim_node *sim_find_dir(struct sim_disk *disk, const char *path); /* NULL and errno */
/* n_entries of them, all to be freed. */
char **sim_copy_names(struct sim_disk *disk, const struct sim_node *dir);

/* ---- the calls: sim_disk_calls.c ---- */
extern const struct trib_disk sim_disk_calls;

#endif
