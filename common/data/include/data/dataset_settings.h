/* A dataset's settings: the same keys wherever one is named, under "data" at those who train and "evaluation" at the
 * server. Readers add the rows that they have a use for. */
#ifndef TRIB_DATA_DATASET_SETTINGS_H
#define TRIB_DATA_DATASET_SETTINGS_H

#include "base/config_table.h"
#include "data/dataset.h"

struct trib_dataset_settings {
    char *format, *path, *labels, *split, *label_column, *key_column, *keys; /* as in struct trib_dataset_spec */
    char *normalise;                                                         /* as trib_dataset_normalise takes it */
    int64_t classes;
    bool regression;
};
/* trib_dataset_add_rows adds the rows of every reader under `section`; their offsets count from `offset`. Who has no
 * use for a key drops it, and who has another default changes it. */
void trib_dataset_add_rows(struct trib_config_table *table, const char *section, size_t offset);
/* trib_dataset_spec_of returns the spec that the settings describe; its texts are borrowed. */
struct trib_dataset_spec trib_dataset_spec_of(const struct trib_dataset_settings *settings);
/* trib_dataset_reader_names are the formats, without what may follow a colon. */
const char *trib_dataset_reader_names(size_t index);
/* trib_partition_rule_names are the rules, without what may follow a colon. */
const char *trib_partition_rule_names(size_t index);

#endif
