/* The power supplies as Linux shows them: a folder each, with a file for each property. */
#include "client/device.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <string.h>

enum { PROPERTY_MAX = 4096, PERCENT_STEP = 5 };

/* What they say together. */
struct supplies {
    unsigned batteries, external; /* external: mains, USB, wireless */
    bool plugged, discharging, charged;
    int64_t percent; /* sum over `measured` batteries */
    unsigned measured;
};

/* The first line of a property; "" when there is none. */
static void read_property(const char *supply, const char *name, char *to, size_t size)
{
    struct trib_buf content = {0};
    char *path = trib_path_join(supply, name);
    to[0] = '\0';
    if (path && trib_file_read(path, PROPERTY_MAX, &content, NULL) == TRIB_OK) {
        (void)trib_str_copy(to, size, trib_buf_text(&content));
        to[strcspn(to, "\n")] = '\0';
    }
    trib_buf_clear(&content);
    trib_free(path);
}

static void add_battery(const char *supply, struct supplies *sum)
{
    char text[32];
    int64_t percent;
    read_property(supply, "scope", text, sizeof text);
    if (strcmp(text, "Device") == 0) {
        return;
    }
    sum->batteries++;
    read_property(supply, "status", text, sizeof text);
    sum->discharging = sum->discharging || strcmp(text, "Discharging") == 0;
    sum->charged =
        sum->charged || strcmp(text, "Charging") == 0 || strcmp(text, "Full") == 0 || strcmp(text, "Not charging") == 0;
    read_property(supply, "capacity", text, sizeof text);
    if (trib_parse_int(text, 0, 100, &percent, NULL) == TRIB_OK) {
        sum->percent += percent;
        sum->measured++;
    }
}

static void add_supply(const char *supply, struct supplies *sum)
{
    char type[32], online[32];
    read_property(supply, "type", type, sizeof type);
    if (strcmp(type, "Battery") == 0 || strcmp(type, "UPS") == 0) {
        add_battery(supply, sum);
    } else if (type[0] != '\0') {
        int64_t way;
        read_property(supply, "online", online, sizeof online);
        sum->external++;
        sum->plugged = sum->plugged || (trib_parse_int(online, 1, 2, &way, NULL) == TRIB_OK);
    }
}

static struct supplies read_supplies(const char *folder)
{
    struct supplies sum = {0};
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char *supply = entry->d_name[0] == '.' ? NULL : trib_path_join(folder, entry->d_name);
        if (supply) {
            add_supply(supply, &sum);
        }
        trib_free(supply);
    }
    if (dir) {
        closedir(dir);
    }
    return sum;
}

/* Anything plugged in, or a battery that is being charged, means mains. Else a battery has to say that it discharges,
 * or, where it says nothing, there has to be a plug that is out. */
static bool runs_on_battery(const struct supplies *sum)
{
    return sum->batteries > 0 && !sum->plugged && (sum->discharging || (!sum->charged && sum->external > 0));
}

struct trib_device trib_device_read(bool metered, enum trib_battery_rule rule, const char *supplies)
{
    struct trib_device device = {.metered = metered};
    if (rule == TRIB_BATTERY_NO) {
        return device;
    }
    const struct supplies sum = read_supplies(supplies ? supplies : "/sys/class/power_supply");
    device.on_battery = rule == TRIB_BATTERY_YES || runs_on_battery(&sum);
    if (device.on_battery && sum.measured > 0) {
        uint32_t percent = (uint32_t)(sum.percent / sum.measured);
        device.battery_percent = percent > 0 ? percent : 1; /* empty, but known */
    }
    return device;
}

bool trib_device_differs(const struct trib_device *a, const struct trib_device *b)
{
    uint32_t x = a->battery_percent, y = b->battery_percent, apart = x > y ? x - y : y - x;
    return a->metered != b->metered || a->on_battery != b->on_battery || (x == 0) != (y == 0) || apart >= PERCENT_STEP;
}
