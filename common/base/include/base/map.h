/* A hash map from byte strings to pointers (open addressing). Keys are copied, values borrowed. One thread. */
#ifndef TRIB_BASE_MAP_H
#define TRIB_BASE_MAP_H

#include "base/status.h"

#include <stddef.h>

struct trib_map; /* opaque */

struct trib_map *trib_map_new(void); /* NULL when memory is short */
void trib_map_free(struct trib_map *map);
size_t trib_map_count(const struct trib_map *map);
void *trib_map_get(const struct trib_map *map, const char *key); /* NULL when absent */
/* Insert or replace; value must not be NULL. */
TRIB_MUST_CHECK enum trib_status trib_map_put(struct trib_map *map, const char *key, void *value);
void *trib_map_remove(struct trib_map *map, const char *key); /* the value it had, or NULL */
/* Iterate in an order that depends on the set of keys alone: start with *at = 0; false at the end. The map must not
 * change meanwhile. */
bool trib_map_next(const struct trib_map *map, size_t *at, const char **key, void **value);

#endif
