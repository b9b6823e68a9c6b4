/* Spooled updates are read by blocks, each call with memory for one. */
#include "intake/spooled_set.h"

#include "base/mem.h"

#include <string.h>

enum trib_status trib_spooled_set_add(struct trib_spooled_set *set, struct trib_upload *upload,
                                      const struct trib_frame_source *source, const struct trib_update_info *info,
                                      struct trib_error *error)
{
    if (set->n == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 16;
        struct trib_spooled *list = trib_realloc_array(set->list, capacity, sizeof *list);
        if (!list) {
            return trib_fail_no_memory(error);
        }
        set->list = list;
        set->capacity = capacity;
    }
    set->list[set->n++] =
        (struct trib_spooled){.upload = upload ? trib_upload_ref(upload) : NULL, .source = *source, .info = *info};
    return TRIB_OK;
}

static const struct trib_update_info *info_of(const void *context, size_t i)
{
    const struct trib_spooled_set *set = context;
    return &set->list[i].info;
}

static enum trib_status read_part(const void *context, size_t i, size_t first, size_t n, float *out,
                                  struct trib_error *error)
{
    const struct trib_spooled_set *set = context;
    const struct trib_frame_expect expect = trib_update_expect(set->rules);
    return trib_frame_read_block(&set->list[i].source, &expect, (uint32_t)(first / TRIB_CODEC_BLOCK), n, out, error);
}

struct trib_update_set trib_spooled_set_view(const struct trib_spooled_set *set)
{
    static const struct trib_update_set_table table = {.info = info_of, .read = read_part};
    return (struct trib_update_set){
        .table = &table, .context = set, .n_updates = set->n, .n = set->rules->n, .block = TRIB_CODEC_BLOCK};
}

void trib_spooled_set_clear(struct trib_spooled_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        trib_upload_unref(set->list[i].upload);
    }
    trib_free(set->list);
    set->list = NULL;
    set->n = set->capacity = 0;
}
