/* Changes of names on the simulated disk, by POSIX's rules and with Linux's error numbers. */
#include "sim_disk_private.h"

#include <errno.h>
#include <string.h>

int sim_fail(int errnum)
{
    errno = errnum;
    return -1;
}

struct sim_node *sim_create(struct sim_disk *disk, const struct sim_found *found, enum sim_kind kind)
{
    struct sim_node *node = sim_node_new(disk, kind);
    sim_change_new(found->dir);
    sim_change_set(disk, found->dir, found->name, node);
    return node;
}

/* Would `dir` end up below itself? */
static bool is_within(const struct sim_node *dir, const struct sim_node *in)
{
    while (in != dir && in != in->parent) {
        in = in->parent;
    }
    return in == dir;
}

static int may_rename(const struct sim_found *from, const struct sim_found *to)
{
    if (to->node && to->node->kind == SIM_DIR && is_within(to->node, from->dir)) {
        return sim_fail(ENOTEMPTY);
    }
    if (from->node->kind != SIM_DIR) {
        return to->node && to->node->kind == SIM_DIR ? sim_fail(EISDIR) : 0;
    }
    if (is_within(from->node, to->dir)) {
        return sim_fail(EINVAL);
    }
    if (from->dir != to->dir) { /* its two names would be one too many after a crash; nobody needs it */
        return sim_fail(EXDEV);
    }
    if (to->node && to->node->kind != SIM_DIR) {
        return sim_fail(ENOTDIR);
    }
    return to->node && to->node->n_entries > 0 ? sim_fail(ENOTEMPTY) : 0;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int sim_do_rename(struct sim_disk *disk, const char *from_path, const char *to_path)
{
    struct sim_found from, to;
    if (sim_find(disk, from_path, false, &from) != 0 || sim_find(disk, to_path, false, &to) != 0) {
        return -1;
    }
    if (is_dots(from.name) || is_dots(to.name)) {
        return sim_fail(EBUSY);
    }
    if (!from.node) {
        return sim_fail(ENOENT);
    }
    if (from.node == to.node) {
        return 0;
    }
    if (may_rename(&from, &to) != 0) {
        return -1;
    }
    struct sim_change *change = sim_change_new(to.dir);
    if (from.dir != to.dir) {
        change->rename = ++disk->next_rename;
    }
    sim_change_set(disk, to.dir, to.name, from.node);
    if (from.dir != to.dir) {
        change = sim_change_new(from.dir);
        change->rename = disk->next_rename;
        change->gained = to.dir;
        sim_node_ref(to.dir);
    }
    sim_change_set(disk, from.dir, from.name, NULL);
    return 0;
}

int sim_do_link(struct sim_disk *disk, const char *from_path, const char *to_path)
{
    struct sim_found from, to;
    if (sim_find(disk, from_path, false, &from) != 0) {
        return -1;
    }
    if (!from.node) {
        return sim_fail(ENOENT);
    }
    if (sim_find(disk, to_path, false, &to) != 0) {
        return -1;
    }
    if (to.node) {
        return sim_fail(EEXIST);
    }
    if (from.node->kind == SIM_DIR) {
        return sim_fail(EPERM);
    }
    sim_change_new(to.dir);
    sim_change_set(disk, to.dir, to.name, from.node);
    return 0;
}

/* A new name for a new node. */
int sim_do_make(struct sim_disk *disk, const char *path, enum sim_kind kind, const char *target)
{
    struct sim_found found;
    if (sim_find(disk, path, false, &found) != 0) {
        return -1;
    }
    if (found.node) {
        return sim_fail(EEXIST);
    }
    struct sim_node *node = sim_create(disk, &found, kind);
    node->target = target ? sim_copy_text(target) : NULL;
    return 0;
}

int sim_do_unlink(struct sim_disk *disk, const char *path)
{
    struct sim_found found;
    if (sim_find(disk, path, false, &found) != 0) {
        return -1;
    }
    if (!found.node || found.node->kind == SIM_DIR) {
        return sim_fail(!found.node ? ENOENT : EISDIR);
    }
    sim_change_new(found.dir);
    sim_change_set(disk, found.dir, found.name, NULL);
    return 0;
}

struct sim_node *sim_find_dir(struct sim_disk *disk, const char *path)
{
    struct sim_found found;
    if (sim_find(disk, path, true, &found) != 0) {
        return NULL;
    }
    if (!found.node || found.node->kind != SIM_DIR) {
        errno = !found.node ? ENOENT : ENOTDIR;
        return NULL;
    }
    return found.node;
}

/* The names in no order at all, taken before the first is shown: the visitor may change the folder. */
char **sim_copy_names(struct sim_disk *disk, const struct sim_node *dir)
{
    char **names = sim_alloc(dir->n_entries * sizeof *names);
    for (size_t i = 0; i < dir->n_entries; i++) {
        size_t at = (size_t)trib_rng_below(&disk->rng, i + 1);
        names[i] = names[at];
        names[at] = sim_copy_text(dir->entries[i].name);
    }
    return names;
}
