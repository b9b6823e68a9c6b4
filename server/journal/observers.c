/* The list of observers. */
#include "journal/observer.h"

#define TRIB_OBSERVER(name) extern const struct trib_observer trib_observer_##name;
#include "observer_list.def"
#undef TRIB_OBSERVER

static const struct trib_observer *const observers[] = {
#define TRIB_OBSERVER(name) &trib_observer_##name,
#include "observer_list.def"
#undef TRIB_OBSERVER
};

void trib_observers_tell(struct trib_journal *journal, const struct trib_fact *fact)
{
    for (size_t i = 0; i < sizeof observers / sizeof observers[0]; i++) {
        observers[i]->fact(journal, fact);
    }
}
