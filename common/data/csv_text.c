/* CSV text is cut into records of cells here, in place. One thread.
 * Source: RFC 4180, with line ends LF or CRLF and white space around cells dropped. */
#include "csv_text.h"

#include "base/mem.h"

#include <string.h>

enum trib_status trib_csv_text_init(struct trib_csv_text *csv, const char *name, char *text, size_t len,
                                    struct trib_error *error)
{
    const char *binary = len > 0 ? memchr(text, '\0', len) : NULL;
    if (binary) {
        size_t line = 1;
        for (const char *at = text; at < binary; at++) {
            line += *at == '\n';
        }
        return trib_fail(error, TRIB_CORRUPT, "%s:%zu: holds a NUL byte: not a text file; is the format csv?", name,
                         line);
    }
    *csv = (struct trib_csv_text){.name = name, .at = text, .end = text + len, .line = 1};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        csv->at += 3;
    }
    return TRIB_OK;
}

void trib_csv_text_clear(struct trib_csv_text *csv)
{
    trib_free(csv->cells);
    *csv = (struct trib_csv_text){0};
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static void skip_blanks(struct trib_csv_text *csv)
{
    while (csv->at < csv->end && is_blank(*csv->at)) {
        csv->at++;
    }
}

static enum trib_status add_cell(struct trib_csv_text *csv, char *cell, struct trib_error *error)
{
    if (csv->n_cells == csv->capacity) {
        size_t capacity = csv->capacity == 0 ? 64 : csv->capacity * 2;
        char **cells = trib_realloc_array(csv->cells, capacity, sizeof *cells);
        if (!cells) {
            return trib_fail_no_memory(error);
        }
        csv->cells = cells;
        csv->capacity = capacity;
    }
    csv->cells[csv->n_cells++] = cell;
    return TRIB_OK;
}

/* From after the opening quote to the separator; the content moves to the front as doubled quotes become one. */
static enum trib_status read_quoted(struct trib_csv_text *csv, char **cell, char **cell_end, struct trib_error *error)
{
    size_t start_line = csv->line;
    char *to = csv->at;
    *cell = to;
    for (;; csv->at++) {
        if (csv->at == csv->end) {
            return trib_fail(error, TRIB_CORRUPT, "%s:%zu: cell %zu: the quote that opens here is never closed",
                             csv->name, start_line, csv->n_cells + 1);
        }
        csv->line += *csv->at == '\n';
        if (*csv->at == '"') {
            if (csv->at[1] != '"') { /* at worst the NUL at the end */
                break;
            }
            csv->at++;
        }
        *to++ = *csv->at;
    }
    csv->at++;
    *cell_end = to;
    skip_blanks(csv);
    if (csv->at < csv->end && *csv->at != ',' && *csv->at != '\n') {
        return trib_fail(error, TRIB_CORRUPT,
                         "%s:%zu: cell %zu: text after the closing quote; a quote within a quoted cell is written "
                         "twice",
                         csv->name, csv->line, csv->n_cells + 1);
    }
    return TRIB_OK;
}

static void read_plain(struct trib_csv_text *csv, char **cell, char **cell_end)
{
    *cell = csv->at;
    while (csv->at < csv->end && *csv->at != ',' && *csv->at != '\n') {
        csv->at++;
    }
    *cell_end = csv->at;
    while (*cell_end > *cell && is_blank((*cell_end)[-1])) {
        (*cell_end)--;
    }
}

static enum trib_status read_cell(struct trib_csv_text *csv, bool *last, struct trib_error *error)
{
    char *cell = NULL;
    char *cell_end = NULL;
    skip_blanks(csv);
    if (*csv->at == '"') {
        csv->at++;
        TRIB_TRY(read_quoted(csv, &cell, &cell_end, error));
    } else {
        read_plain(csv, &cell, &cell_end);
    }
    TRIB_TRY(add_cell(csv, cell, error));
    *last = csv->at == csv->end || *csv->at == '\n';
    csv->line += *csv->at == '\n';
    csv->at += csv->at < csv->end;
    *cell_end = '\0'; /* last: it may take the separator's place */
    return TRIB_OK;
}

enum trib_status trib_csv_text_next(struct trib_csv_text *csv, bool *got, struct trib_error *error)
{
    for (skip_blanks(csv); csv->at < csv->end && *csv->at == '\n'; skip_blanks(csv)) {
        csv->at++;
        csv->line++;
    }
    csv->n_cells = 0;
    csv->record_line = csv->line;
    if (csv->at == csv->end) {
        *got = false;
        return TRIB_OK;
    }
    for (bool last = false; !last;) {
        TRIB_TRY(read_cell(csv, &last, error));
    }
    *got = true;
    return TRIB_OK;
}
