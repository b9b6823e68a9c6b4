/* A hash map whose slots stand in ascending order of (hash, key).
 *
 * Linear probing from slot hash >> shift, without wrapping round: a run is kept sorted by shifting entries, on
 * insertion and on removal. So there are no tombstones, and iteration order depends on the set of keys alone, not on
 * the order they came in or on the capacity. A tail of spare slots takes what runs past the end. One thread. */
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"

#include <string.h>

struct slot {
    uint64_t hash;
    char *key; /* owned; NULL = free */
    void *value;
};

struct trib_map {
    struct slot *slots; /* (1 << bits) + tail of them, and one more that always stays free */
    unsigned bits;
    size_t tail;
    size_t n;
};

enum { SMALLEST_BITS = 4, SMALLEST_TAIL = 16 };

static size_t slot_count(unsigned bits, size_t tail)
{
    return ((size_t)1 << bits) + tail;
}

struct trib_map *trib_map_new(void)
{
    struct trib_map *map = trib_calloc(1, sizeof *map);
    if (!map) {
        return NULL;
    }
    map->bits = SMALLEST_BITS;
    map->tail = SMALLEST_TAIL;
    map->slots = trib_calloc(slot_count(map->bits, map->tail) + 1, sizeof *map->slots);
    if (!map->slots) {
        trib_free(map);
        return NULL;
    }
    return map;
}

void trib_map_free(struct trib_map *map)
{
    if (!map) {
        return;
    }
    size_t count = slot_count(map->bits, map->tail);
    for (size_t i = 0; i < count; i++) {
        trib_free(map->slots[i].key);
    }
    trib_free(map->slots);
    trib_free(map);
}

size_t trib_map_count(const struct trib_map *map)
{
    return map->n;
}

static uint64_t hash_of(const char *key)
{
    return trib_hash64(key, strlen(key), 0x7472696275746172u);
}

/* The slot of the key when *found, else the one where it belongs: the first that is free or holds a greater entry. */
static size_t find(const struct trib_map *map, uint64_t hash, const char *key, bool *found)
{
    size_t at = (size_t)(hash >> (64 - map->bits));
    *found = false;
    for (; map->slots[at].key && map->slots[at].hash <= hash; at++) {
        if (map->slots[at].hash == hash) {
            int order = strcmp(map->slots[at].key, key);
            if (order >= 0) {
                *found = order == 0;
                break;
            }
        }
    }
    return at;
}

/* Move everything to a table of other dimensions, with a longer tail yet where that does not hold what runs past the
 * end. Entries come in ascending order, so each goes to the first free slot at or after its own. */
static enum trib_status resize(struct trib_map *map, unsigned bits, size_t tail)
{
    for (;;) {
        size_t count = slot_count(bits, tail);
        struct slot *slots = trib_calloc(count + 1, sizeof *slots);
        if (!slots) {
            return TRIB_NO_MEMORY;
        }
        size_t free_from = 0;
        size_t placed = 0;
        size_t old_count = slot_count(map->bits, map->tail);
        for (size_t i = 0; i < old_count && free_from < count; i++) {
            if (map->slots[i].key) {
                size_t home = (size_t)(map->slots[i].hash >> (64 - bits));
                size_t at = home > free_from ? home : free_from;
                slots[at] = map->slots[i];
                free_from = at + 1;
                placed++;
            }
        }
        if (placed == map->n) {
            trib_free(map->slots);
            map->slots = slots;
            map->bits = bits;
            map->tail = tail;
            return TRIB_OK;
        }
        trib_free(slots);
        tail *= 2;
    }
}

void *trib_map_get(const struct trib_map *map, const char *key)
{
    bool found = false;
    size_t at = find(map, hash_of(key), key, &found);
    return found ? map->slots[at].value : NULL;
}

enum trib_status trib_map_put(struct trib_map *map, const char *key, void *value)
{
    if (!value) {
        return TRIB_INVALID;
    }
    uint64_t hash = hash_of(key);
    bool found = false;
    size_t at = find(map, hash, key, &found);
    if (found) {
        map->slots[at].value = value;
        return TRIB_OK;
    }
    if (map->n + 1 > ((size_t)1 << map->bits) / 4 * 3) {
        TRIB_TRY(resize(map, map->bits + 1, map->tail));
        at = find(map, hash, key, &found);
    }
    size_t end = at;
    while (map->slots[end].key) {
        end++;
    }
    if (end >= slot_count(map->bits, map->tail)) { /* that one must stay free: it ends every search */
        TRIB_TRY(resize(map, map->bits, map->tail * 2));
        at = find(map, hash, key, &found);
        end = at;
        while (map->slots[end].key) {
            end++;
        }
    }
    char *copy = trib_strdup(key);
    if (!copy) {
        return TRIB_NO_MEMORY;
    }
    memmove(&map->slots[at + 1], &map->slots[at], (end - at) * sizeof map->slots[0]);
    map->slots[at] = (struct slot){.hash = hash, .key = copy, .value = value};
    map->n++;
    return TRIB_OK;
}

void *trib_map_remove(struct trib_map *map, const char *key)
{
    bool found = false;
    size_t at = find(map, hash_of(key), key, &found);
    if (!found) {
        return NULL;
    }
    void *value = map->slots[at].value;
    trib_free(map->slots[at].key);
    /* Pull back the entries behind it that are not in their own slot. */
    size_t end = at + 1;
    while (map->slots[end].key && (size_t)(map->slots[end].hash >> (64 - map->bits)) < end) {
        end++;
    }
    memmove(&map->slots[at], &map->slots[at + 1], (end - at - 1) * sizeof map->slots[0]);
    map->slots[end - 1] = (struct slot){0};
    map->n--;
    return value;
}

bool trib_map_next(const struct trib_map *map, size_t *at, const char **key, void **value)
{
    size_t count = slot_count(map->bits, map->tail);
    for (size_t i = *at; i < count; i++) {
        if (map->slots[i].key) {
            *key = map->slots[i].key;
            *value = map->slots[i].value;
            *at = i + 1;
            return true;
        }
    }
    return false;
}
