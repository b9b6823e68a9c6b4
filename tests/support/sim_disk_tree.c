/* Nodes, names and paths of the simulated disk. */
#include "sim_disk_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *sim_alloc(size_t len)
{
    void *block = calloc(1, len > 0 ? len : 1);
    if (!block) {
        abort();
    }
    return block;
}

char *sim_copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(sim_alloc(size), text, size);
}

void *sim_grow(void *items, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity) {
        return items;
    }
    size_t wanted = *capacity == 0 ? 4 : *capacity * 2;
    void *grown = realloc(items, wanted * size);
    if (!grown) {
        abort();
    }
    *capacity = wanted;
    return grown;
}

/* ---- nodes ---- */

struct sim_node *sim_node_new(struct sim_disk *disk, enum sim_kind kind)
{
    struct sim_node *node = sim_alloc(sizeof *node);
    node->kind = kind;
    node->number = ++disk->next_number;
    node->previous = disk->last;
    *(disk->last ? &disk->last->next : &disk->first) = node;
    disk->last = node;
    return node;
}

/* The memory alone; what it leads to is left as it is. */
void sim_node_destroy(struct sim_disk *disk, struct sim_node *node)
{
    *(node->previous ? &node->previous->next : &disk->first) = node->next;
    *(node->next ? &node->next->previous : &disk->last) = node->previous;
    for (size_t i = 0; i < node->n_entries; i++) {
        free(node->entries[i].name);
    }
    for (size_t i = 0; i < node->n_changes; i++) {
        free(node->changes[i].part[0].name);
        free(node->changes[i].part[1].name);
    }
    sim_file_forget(node);
    free(node->writes);
    free(node->entries);
    free(node->changes);
    free(node->data);
    free(node->target);
    free(node);
}

void sim_node_ref(struct sim_node *node)
{
    node->refs++;
}

void sim_node_unref(struct sim_disk *disk, struct sim_node *node)
{
    if (!node || --node->refs > 0) {
        return;
    }
    sim_dir_forget(disk, node);
    for (size_t i = 0; i < node->n_entries; i++) {
        sim_node_drop(disk, node->entries[i].node);
    }
    sim_node_destroy(disk, node);
}

void sim_node_take(struct sim_disk *disk, struct sim_node *node)
{
    node->refs++;
    if (node->uses++ == 0) {
        disk->counts.held += node->len;
    }
}

void sim_node_drop(struct sim_disk *disk, struct sim_node *node)
{
    if (--node->uses == 0) {
        disk->counts.held -= node->len;
    }
    sim_node_unref(disk, node);
}

/* ---- names ---- */

static size_t entry_at(const struct sim_node *dir, const char *name, bool *found)
{
    size_t low = 0, high = dir->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(dir->entries[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < dir->n_entries && strcmp(dir->entries[low].name, name) == 0;
    return low;
}

struct sim_node *sim_dir_get(const struct sim_node *dir, const char *name)
{
    bool found;
    size_t at = entry_at(dir, name, &found);
    return found ? dir->entries[at].node : NULL;
}

void sim_dir_set(struct sim_disk *disk, struct sim_node *dir, const char *name, struct sim_node *node)
{
    bool found;
    size_t at = entry_at(dir, name, &found);
    if (node) {
        sim_node_take(disk, node);
        node->parent = node->kind == SIM_DIR ? dir : NULL;
    }
    if (found) {
        struct sim_node *before = dir->entries[at].node;
        dir->entries[at].node = node;
        if (!node) {
            free(dir->entries[at].name);
            dir->n_entries--;
            memmove(dir->entries + at, dir->entries + at + 1, (dir->n_entries - at) * sizeof *dir->entries);
        }
        sim_node_drop(disk, before);
    } else if (node) {
        dir->entries = sim_grow(dir->entries, dir->n_entries, &dir->entries_capacity, sizeof *dir->entries);
        memmove(dir->entries + at + 1, dir->entries + at, (dir->n_entries - at) * sizeof *dir->entries);
        dir->entries[at] = (struct sim_entry){.name = sim_copy_text(name), .node = node};
        dir->n_entries++;
    }
}

struct sim_change *sim_change_new(struct sim_node *dir)
{
    dir->changes = sim_grow(dir->changes, dir->n_changes, &dir->changes_capacity, sizeof *dir->changes);
    struct sim_change *change = &dir->changes[dir->n_changes++];
    *change = (struct sim_change){0};
    return change;
}

void sim_change_set(struct sim_disk *disk, struct sim_node *dir, const char *name, struct sim_node *node)
{
    struct sim_change *change = &dir->changes[dir->n_changes - 1];
    struct sim_node *before = sim_dir_get(dir, name);
    if (before) {
        sim_node_ref(before);
    }
    change->part[change->n_parts].name = sim_copy_text(name);
    change->part[change->n_parts++].before = before;
    sim_dir_set(disk, dir, name, node);
}

/* ---- paths ---- */

struct walk {
    struct sim_node *at;
    char rest[SIM_PATH_MAX];
    unsigned links;
};

/* Take the next name off the rest; false at the end. */
static bool next_name(struct walk *walk, char name[SIM_NAME_MAX + 1], bool *last, bool *slash)
{
    const char *begin = walk->rest + strspn(walk->rest, "/");
    size_t len = strcspn(begin, "/");
    if (len == 0 || len > SIM_NAME_MAX) {
        errno = len == 0 ? ENOENT : ENAMETOOLONG;
        return false;
    }
    memcpy(name, begin, len);
    name[len] = '\0';
    const char *end = begin + len;
    *slash = *end == '/';
    end += strspn(end, "/");
    *last = *end == '\0';
    memmove(walk->rest, end, strlen(end) + 1);
    return true;
}

/* Put a link's target before the rest. */
static int follow_link(struct sim_disk *disk, struct walk *walk, const struct sim_node *link)
{
    char joined[SIM_PATH_MAX];
    int len = snprintf(joined, sizeof joined, "%s%s%s", link->target, walk->rest[0] != '\0' ? "/" : "", walk->rest);
    if (++walk->links > 40 || len < 0 || (size_t)len >= sizeof joined) {
        errno = walk->links > 40 ? ELOOP : ENAMETOOLONG;
        return -1;
    }
    memcpy(walk->rest, joined, (size_t)len + 1);
    if (joined[0] == '/') {
        walk->at = disk->root;
    }
    return 0;
}

static struct sim_node *step(const struct walk *walk, const char *name)
{
    if (strcmp(name, ".") == 0) {
        return walk->at;
    }
    if (strcmp(name, "..") == 0) {
        return walk->at->parent;
    }
    return sim_dir_get(walk->at, name);
}

int sim_find(struct sim_disk *disk, const char *path, bool follow, struct sim_found *found)
{
    struct walk walk = {.at = disk->root};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof walk.rest) {
        errno = len == 0 ? ENOENT : ENAMETOOLONG;
        return -1;
    }
    memcpy(walk.rest, path, len + 1);
    if (walk.rest[strspn(walk.rest, "/")] == '\0') {
        *found = (struct sim_found){.dir = disk->root, .name = ".", .node = disk->root};
        return 0;
    }
    bool last = false, slash = false;
    while (next_name(&walk, found->name, &last, &slash)) {
        struct sim_node *node = step(&walk, found->name);
        if (node && node->kind == SIM_LINK && (follow || slash)) {
            if (follow_link(disk, &walk, node) != 0) {
                return -1;
            }
            if (walk.rest[strspn(walk.rest, "/")] == '\0') { /* a link to the root */
                *found = (struct sim_found){.dir = disk->root, .name = ".", .node = disk->root};
                return 0;
            }
            continue;
        }
        if (node && slash && node->kind != SIM_DIR) {
            errno = ENOTDIR;
            return -1;
        }
        if (last) {
            found->dir = walk.at;
            found->node = node;
            return 0;
        }
        if (!node) {
            errno = ENOENT;
            return -1;
        }
        walk.at = node;
    }
    return -1;
}
