/* The rows of datasets: those that every reader has a use for, then each reader's own. Any thread. */
#include "data/dataset_settings.h"

#include "data/partition.h"

#define AT(member) offsetof(struct trib_dataset_settings, member)

static const struct trib_config_row rows[] = {
    {.key = "format",
     .type = TRIB_TYPE_STRING,
     .offset = AT(format),
     .fallback = "idx",
     .min = 1,
     .max = 255,
     .help = "How the examples are stored: {names}.",
     .names = trib_dataset_reader_names},
    TRIB_ROW("path", TRIB_TYPE_PATH, AT(path), NULL, 0, 4096, NULL, 0,
             "The file or folder of the examples; a folder holds files with the format's usual names."),
    TRIB_ROW("keys", TRIB_TYPE_PATH, AT(keys), NULL, 0, 4096, NULL, 0,
             "File with one group key an example, for the partition by-key."),
    TRIB_ROW("classes", TRIB_TYPE_INT, AT(classes), "0", 0, 1e6, NULL, 0,
             "Number of classes; 0 = the largest label in the data and one."),
    TRIB_ROW("normalise", TRIB_TYPE_STRING, AT(normalise), "unit", 1, 1024, NULL, 0,
             "How values are scaled: unit, none, or \"m1,m2,m3/s1,s2,s3\"; the same on every node and at the server."),
};

void trib_dataset_add_rows(struct trib_config_table *table, const char *section, size_t offset)
{
    const struct trib_dataset_reader *const *readers;
    size_t n = trib_dataset_readers(&readers);
    trib_config_table_add(table, section, rows, sizeof rows / sizeof rows[0], offset, NULL);
    for (size_t i = 0; i < n; i++) {
        trib_config_table_add(table, section, readers[i]->rows, readers[i]->n_rows, offset, readers[i]->name);
    }
}

struct trib_dataset_spec trib_dataset_spec_of(const struct trib_dataset_settings *settings)
{
    return (struct trib_dataset_spec){
        .format = settings->format,
        .path = settings->path,
        .labels = settings->labels,
        .split = settings->split,
        .label_column = settings->label_column,
        .key_column = settings->key_column,
        .keys = settings->keys,
        .classes = settings->classes,
        .regression = settings->regression,
    };
}

const char *trib_dataset_reader_names(size_t index)
{
    const struct trib_dataset_reader *const *readers;
    return index < trib_dataset_readers(&readers) ? readers[index]->name : NULL;
}

const char *trib_partition_rule_names(size_t index)
{
    const struct trib_partition_rule *const *rules;
    return index < trib_partition_rules(&rules) ? rules[index]->name : NULL;
}
