/* Which clients may take part at all, by what they have said of themselves: the selection.* filters. */
#ifndef TRIB_CORE_FILTERS_H
#define TRIB_CORE_FILTERS_H

#include "core/settings.h"
#include "wire/message.h"

/* What a machine says of its power and its connection. */
struct trib_client_device {
    bool metered, on_battery;
    uint32_t battery_percent; /* 0 = not known */
};

/* Why a client that introduces itself so is left out, as static text; NULL when it is not. */
const char *trib_filter_hello(const struct trib_server_settings *settings, const Tributary__V1__Hello *hello);
/* The same for what may change while it is connected. */
const char *trib_filter_device(const struct trib_server_settings *settings, const struct trib_client_device *device);
/* NULL: nothing is known, so nothing forbids work. */
struct trib_client_device trib_device_of(const Tributary__V1__Device *message);

#endif
