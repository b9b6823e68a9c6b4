/* The store, as its backends share it. Private to the block. */
#ifndef TRIB_STORE_STORE_PRIVATE_H
#define TRIB_STORE_STORE_PRIVATE_H

#include "store/store.h"

#include "base/buf.h"

enum { TRIB_STORE_KEYS_MAX = 3 };

/* A backend's own struct begins with this one. */
struct trib_store {
    const struct trib_store_backend *backend;
    struct trib_buf kept; /* bytes of the record that was got last */
    bool changing;        /* between begin and end */
    unsigned visits;      /* that are going on */
};

/* A record of any table fits in here. */
union trib_store_record {
#define TRIB_TABLE(table, help) struct trib_store_##table table;
#define TRIB_KEY(kind, name)
#define TRIB_COLUMN(kind, name)
#define TRIB_TABLE_END
#include "store/store_columns.def"
};

#define BACKEND(name) extern const struct trib_store_backend trib_store_##name;
#include "store_list.def"
#undef BACKEND

/* The room of a text's kind, its end included; 0 for kinds that are no texts. */
size_t trib_store_text_size(enum trib_store_kind kind);

/* The file of an SQLite store must be there and of the present version; nothing is made, migrated or checkpointed. This
 * is for looking only. */
TRIB_MUST_CHECK enum trib_status trib_store_sqlite_look(const char *path, struct trib_store **store,
                                                        struct trib_error *error);

#endif
