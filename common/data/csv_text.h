/* CSV text is cut into records of cells. Private to this block; one thread. */
#ifndef TRIB_DATA_CSV_TEXT_H
#define TRIB_DATA_CSV_TEXT_H

#include "base/status.h"

#include <stddef.h>

struct trib_csv_text {
    const char *name; /* the file, for messages */
    char *at;
    char *end;    /* *end is a NUL of the buffer's own */
    size_t line;  /* of `at`, 1-based */
    char **cells; /* of the last record, NUL-terminated within the buffer; owned array */
    size_t n_cells;
    size_t capacity;
    size_t record_line; /* where the last record starts */
};

/* trib_csv_text_init begins with a text: text[len] must be NUL, and it is changed in place and must outlive the cells.
 * A byte order mark is skipped; a NUL byte within is TRIB_CORRUPT. */
TRIB_MUST_CHECK enum trib_status trib_csv_text_init(struct trib_csv_text *csv, const char *name, char *text, size_t len,
                                                    struct trib_error *error);
void trib_csv_text_clear(struct trib_csv_text *csv);
/* trib_csv_text_next finds the next record that is not blank; *got is false at the end. Cells are separated by commas;
 * a cell may be quoted, and then hold commas, line ends and doubled quotes; white space around a cell is dropped. */
TRIB_MUST_CHECK enum trib_status trib_csv_text_next(struct trib_csv_text *csv, bool *got, struct trib_error *error);

#endif
