/* The selection.* filters. */
#include "filters.h"

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

const char *trib_filter_hello(const struct trib_server_settings *settings, const Tributary__V1__Hello *hello)
{
    const struct trib_config_node *tag = settings->selection_tags ? settings->selection_tags->first : NULL;
    for (; tag; tag = tag->next) {
        if (!has_tag(hello, tag->scalar)) {
            return "it lacks a tag of selection.tags";
        }
    }
    if (hello->examples < (uint64_t)settings->selection_min_examples) {
        return "it has fewer examples than selection.min_examples";
    }
    if (hello->threads < (uint64_t)settings->selection_min_threads) {
        return "it has fewer threads than selection.min_threads";
    }
    if (hello->memory_bytes > 0 && hello->memory_bytes < (uint64_t)settings->selection_min_memory) {
        return "it may use less memory than selection.min_memory";
    }
    return NULL;
}

const char *trib_filter_device(const struct trib_server_settings *settings, const struct trib_client_device *device)
{
    if (device->metered && !settings->selection_metered) {
        return "its connection is metered, and selection.metered is off";
    }
    if (device->on_battery && device->battery_percent > 0 &&
        device->battery_percent < (uint64_t)settings->selection_min_battery) {
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
