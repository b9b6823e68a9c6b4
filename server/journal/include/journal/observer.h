/* An observer is told every fact of a run, on the hub's thread, in order. Observers that every run has are listed in
 * observer_list.def, one file each; a program adds its own when it opens a run. */
#ifndef TRIB_JOURNAL_OBSERVER_H
#define TRIB_JOURNAL_OBSERVER_H

#include "journal/fact.h"

struct trib_journal;

struct trib_observer {
    const char *name;
    /* journal: of the run; NULL: nothing outlives the process. */
    void (*fact)(struct trib_journal *journal, const struct trib_fact *fact);
};

/* Tells all listed observers. */
void trib_observers_tell(struct trib_journal *journal, const struct trib_fact *fact);

#endif
