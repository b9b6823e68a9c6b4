/* Filters decide which clients may take part at all, by what they have said of themselves: the selection.* settings. */
#ifndef TRIB_ROSTER_FILTERS_H
#define TRIB_ROSTER_FILTERS_H

#include "base/config.h"
#include "wire/message.h"

/* Filters are what is asked of a client; a value that borrows its tags. */
struct trib_filters {
    const struct trib_config_node *tags; /* a list; NULL: none */
    uint64_t min_examples, min_threads, min_memory, min_battery;
    bool metered; /* metered connections are fine */
};

/* A device is what a machine says of its power and its connection. */
struct trib_client_device {
    bool metered, on_battery;
    uint32_t battery_percent; /* 0 = not known */
};

/* Why a client that introduces itself so is left out, as static text; NULL when it is not. */
const char *trib_filter_hello(const struct trib_filters *filters, const Tributary__V1__Hello *hello);
/* trib_filter_device does that for what may change while it is connected. */
const char *trib_filter_device(const struct trib_filters *filters, const struct trib_client_device *device);
/* NULL: nothing is known, so nothing forbids work. */
struct trib_client_device trib_device_of(const Tributary__V1__Device *message);

#endif
