/* One question after another; the first that is not answered well says why. */
#include "roster/filters.h"

#include <string.h>

static bool has_tag(const Tributary__V1__Hello *hello, const char *tag)
{
    for (size_t i = 0; i < hello->n_tags; i++) {
        if (strcmp(hello->tags[i], tag) == 0) {
            return true;
        }
    }
    return false;
}

const char *trib_filter_hello(const struct trib_filters *filters, const Tributary__V1__Hello *hello)
{
    const struct trib_config_node *tag = filters->tags ? filters->tags->first : NULL;
    for (; tag; tag = tag->next) {
        if (!has_tag(hello, tag->scalar)) {
            return "it lacks a tag of selection.tags";
        }
    }
    if (hello->examples < filters->min_examples) {
        return "it has fewer examples than selection.min_examples";
    }
    if (hello->threads < filters->min_threads) {
        return "it has fewer threads than selection.min_threads";
    }
    if (hello->memory_bytes > 0 && hello->memory_bytes < filters->min_memory) {
        return "it may use less memory than selection.min_memory";
    }
    return NULL;
}

const char *trib_filter_device(const struct trib_filters *filters, const struct trib_client_device *device)
{
    if (device->metered && !filters->metered) {
        return "its connection is metered, and selection.metered is off";
    }
    if (device->on_battery && device->battery_percent > 0 && device->battery_percent < filters->min_battery) {
        return "its battery is below selection.min_battery";
    }
    return NULL;
}

struct trib_client_device trib_device_of(const Tributary__V1__Device *message)
{
    return message ? (struct trib_client_device){.metered = message->metered,
                                                 .on_battery = message->on_battery,
                                                 .battery_percent = message->battery_percent}
                   : (struct trib_client_device){0};
}
