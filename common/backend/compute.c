/* The rows of what computes, and the backend that they choose. Any thread. */
#include "backend/compute.h"

#include "base/str.h"

#define AT(member) offsetof(struct trib_compute_settings, member)

static const char automatic[] = "auto";

static const struct trib_config_row rows[] = {
    {.key = "backend",
     .type = TRIB_TYPE_STRING,
     .offset = AT(backend),
     .fallback = automatic,
     .min = 1,
     .max = 64,
     .help = "What computes: {names}; auto is the first of the others that works on this machine.",
     .names = trib_compute_names},
    TRIB_ROW("threads", TRIB_TYPE_INT, AT(threads), "0", 0, 1024, NULL, 0,
             "Threads for arithmetic; 0 = one for each core."),
};

void trib_compute_add_rows(struct trib_config_table *table, size_t offset)
{
    const struct trib_backend *const *list;
    size_t n = trib_backends(&list);
    trib_config_table_add(table, "compute", rows, sizeof rows / sizeof rows[0], offset, NULL);
    for (size_t i = 0; i < n; i++) {
        trib_config_table_place(table, &list[i]->settings, list[i]->name);
    }
}

const char *trib_compute_names(size_t index)
{
    const struct trib_backend *const *list;
    size_t n = trib_backends(&list);
    return index == 0 ? automatic : index <= n ? list[index - 1]->name : NULL;
}

const struct trib_backend *trib_compute_backend(const char *name)
{
    return trib_str_equal(name, automatic) ? trib_backend_default() : trib_backend_find(name);
}
