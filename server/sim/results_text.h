/* Text in the making, for the files of results: after a failure nothing more is added, and saving says why. Private to
 * this block; one thread. */
#ifndef TRIB_SIM_RESULTS_TEXT_H
#define TRIB_SIM_RESULTS_TEXT_H

#include "base/buf.h"

/* Starts zeroed. */
struct trib_sim_text {
    struct trib_buf buf;
    enum trib_status status;
};

void trib_sim_put(struct trib_sim_text *text, const char *format, ...) TRIB_PRINTF(2, 3);
/* A string of JSON, with its quotes; bytes that are not UTF-8 become U+FFFD. */
void trib_sim_put_json(struct trib_sim_text *text, const char *from);
/* Character data or an attribute's value of XML; characters that XML cannot hold become U+FFFD. */
void trib_sim_put_xml(struct trib_sim_text *text, const char *from);
/* A field of a CSV file, in quotes when it needs them (RFC 4180). */
void trib_sim_put_csv(struct trib_sim_text *text, const char *from);
/* Write what there is to a file, whole or not at all, and clear the text. */
TRIB_MUST_CHECK enum trib_status trib_sim_text_save(struct trib_sim_text *text, const char *path,
                                                    struct trib_error *error);

#endif
