/* A device is what a scheduler should know of this machine just now: whether its connection costs money, whether it
 * runs on a battery. Any thread. */
#ifndef TRIB_CLIENT_DEVICE_H
#define TRIB_CLIENT_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

/* A device of zeros: nothing is known, nothing forbids work. */
struct trib_device {
    bool metered, on_battery;
    uint32_t battery_percent; /* 1 .. 100 while on battery; 0 = not on battery, or not known */
};

enum trib_battery_rule { TRIB_BATTERY_AUTO, TRIB_BATTERY_NO, TRIB_BATTERY_YES }; /* who knows it: system or owner */

/* trib_device_read looks at the machine. supplies: the folder of the system's power supplies, NULL =
 * /sys/class/power_supply. Batteries of peripherals (mice, phones) do not count. Whatever cannot be read is not known.
 */
struct trib_device trib_device_read(bool metered, enum trib_battery_rule rule, const char *supplies);
/* trib_device_differs tells whether two looks differ by so much that it is worth telling. */
bool trib_device_differs(const struct trib_device *a, const struct trib_device *b);

#endif
