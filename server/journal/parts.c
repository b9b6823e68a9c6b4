/* Parts, one allocation each. */
#include "journal/parts.h"

#include "base/mem.h"

#include <string.h>

struct trib_part *trib_parts_make(struct trib_parts *parts, uint32_t client)
{
    if (client >= parts->n) {
        size_t n = (size_t)client + 1 < 16 ? 16 : ((size_t)client + 1) * 2;
        struct trib_part **list = trib_realloc_array(parts->list, n, sizeof(struct trib_part *));
        if (!list) {
            return NULL;
        }
        memset(list + parts->n, 0, (n - parts->n) * sizeof(struct trib_part *));
        parts->list = list;
        parts->n = n;
    }
    if (!parts->list[client]) {
        parts->list[client] = trib_calloc(1, sizeof(struct trib_part));
    }
    return parts->list[client];
}

struct trib_part *trib_parts_of(const struct trib_parts *parts, uint32_t client)
{
    return client < parts->n ? parts->list[client] : NULL;
}

void trib_part_forget_sketch(struct trib_part *part)
{
    if (part) {
        trib_free(part->sketch);
        part->sketch = NULL;
    }
}

void trib_parts_clear(struct trib_parts *parts)
{
    for (size_t i = 0; i < parts->n; i++) {
        trib_part_forget_sketch(parts->list[i]);
        trib_free(parts->list[i]);
    }
    trib_free(parts->list);
    *parts = (struct trib_parts){0};
}
