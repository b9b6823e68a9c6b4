/* What the system's power supplies say, for machines of every kind. */
#include "client/device.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SUPPLIES = 3 };
static const char *const properties[] = {"type", "scope", "online", "status", "capacity"};
enum { PROPERTIES = sizeof properties / sizeof properties[0] };

/* A supply's properties in the order above; NULL = there is no such file. */
struct machine {
    const char *what;
    const char *supplies[SUPPLIES][PROPERTIES];
    bool on_battery;
    uint32_t percent;
};
static const struct machine machines[] = {
    {.what = "nothing at all"},
    {.what = "a laptop that is plugged in", .supplies = {{"Mains", NULL, "1"}, {"Battery", NULL, NULL, "Full", "100"}}},
    {.what = "a laptop that is unplugged",
     .supplies = {{"Mains", NULL, "0"}, {"Battery", NULL, NULL, "Discharging", "57"}},
     .on_battery = true,
     .percent = 57},
    {.what = "one whose battery holds its charge",
     .supplies = {{"Mains", NULL, "1"}, {"Battery", NULL, NULL, "Discharging", "80"}}},
    {.what = "one whose battery says nothing",
     .supplies = {{"Mains", NULL, "0"}, {"Battery", NULL, NULL, "Unknown"}},
     .on_battery = true},
    {.what = "a board whose battery says nothing", .supplies = {{"Battery", NULL, NULL, "Unknown", "50"}}},
    {.what = "a board with a battery alone",
     .supplies = {{"Battery", "System", NULL, "Discharging", "20"}},
     .on_battery = true,
     .percent = 20},
    {.what = "one that is charged over a plug that is not listed",
     .supplies = {{"USB", NULL, "0"}, {"Battery", NULL, NULL, "Charging", "20"}}},
    {.what = "a desktop with a mouse", .supplies = {{"Battery", "Device", NULL, "Discharging", "9"}}},
    {.what = "two batteries",
     .supplies = {{"Battery", NULL, NULL, "Discharging", "10"},
                  {"Battery", NULL, NULL, "Unknown", "91"},
                  {"USB", NULL, "0"}},
     .on_battery = true,
     .percent = 50},
    {.what = "an empty one",
     .supplies = {{"Battery", NULL, NULL, "Discharging", "0"}},
     .on_battery = true,
     .percent = 1},
    {.what = "nonsense",
     .supplies = {{"", NULL, "x", "y", "z"}, {"Battery", NULL, "-1", "", "101"}, {"Mains", NULL, "no"}},
     .on_battery = true},
};
enum { MACHINES = sizeof machines / sizeof machines[0] };

static void name_supply(char path[160], const char *root, size_t supply, const char *property)
{
    snprintf(path, 160, "%s/supply%zu%s%s", root, supply, property[0] == '\0' ? "" : "/", property);
}

static void make_machine(const struct machine *machine, char root[64])
{
    char path[160];
    snprintf(root, 64, "/tmp/trib-device-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    for (size_t i = 0; i < SUPPLIES && machine->supplies[i][0]; i++) {
        name_supply(path, root, i, "");
        ck_assert_int_eq(mkdir(path, 0700), 0);
        for (size_t p = 0; p < PROPERTIES; p++) {
            if (machine->supplies[i][p]) {
                name_supply(path, root, i, properties[p]);
                FILE *file = fopen(path, "w");
                ck_assert_ptr_nonnull(file);
                fprintf(file, "%s\n", machine->supplies[i][p]);
                fclose(file);
            }
        }
    }
}

static void remove_machine(const char *root)
{
    char path[160];
    for (size_t i = 0; i < SUPPLIES; i++) {
        for (size_t p = 0; p < PROPERTIES; p++) {
            name_supply(path, root, i, properties[p]);
            (void)unlink(path);
        }
        name_supply(path, root, i, "");
        (void)rmdir(path);
    }
    ck_assert_int_eq(rmdir(root), 0);
}

START_TEST(supplies_tell_of_a_battery)
{
    const struct machine *machine = &machines[_i];
    char root[64];
    make_machine(machine, root);
    struct trib_device device = trib_device_read(false, TRIB_BATTERY_AUTO, root);
    ck_assert_msg(device.on_battery == machine->on_battery, "%s", machine->what);
    ck_assert_msg(device.battery_percent == machine->percent, "%s: %u", machine->what, device.battery_percent);
    ck_assert(!device.metered);
    device = trib_device_read(true, TRIB_BATTERY_NO, root); /* the owner knows better */
    ck_assert(device.metered && !device.on_battery && device.battery_percent == 0);
    device = trib_device_read(true, TRIB_BATTERY_YES, root);
    ck_assert(device.metered && device.on_battery);
    remove_machine(root);
}
END_TEST

START_TEST(a_folder_that_is_not_there_means_mains)
{
    struct trib_device device = trib_device_read(false, TRIB_BATTERY_AUTO, "/nonexistent/supplies");
    ck_assert(!device.on_battery && device.battery_percent == 0);
    device = trib_device_read(false, TRIB_BATTERY_YES, "/nonexistent/supplies");
    ck_assert(device.on_battery && device.battery_percent == 0);
}
END_TEST

START_TEST(small_steps_are_not_worth_telling)
{
    static const struct {
        struct trib_device a, b;
        bool differ;
    } cases[] = {
        {{0}, {0}, false},
        {{.metered = true}, {0}, true},
        {{.on_battery = true}, {0}, true},
        {{.on_battery = true, .battery_percent = 50}, {.on_battery = true, .battery_percent = 50}, false},
        {{.on_battery = true, .battery_percent = 50}, {.on_battery = true, .battery_percent = 46}, false},
        {{.on_battery = true, .battery_percent = 50}, {.on_battery = true, .battery_percent = 45}, true},
        {{.on_battery = true, .battery_percent = 50}, {.on_battery = true, .battery_percent = 55}, true},
        {{.on_battery = true, .battery_percent = 3}, {.on_battery = true}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(trib_device_differs(&cases[i].a, &cases[i].b) == cases[i].differ, "case %zu", i);
        ck_assert_msg(trib_device_differs(&cases[i].b, &cases[i].a) == cases[i].differ, "case %zu", i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("device");
    TCase *tests = tcase_create("device");
    tcase_add_loop_test(tests, supplies_tell_of_a_battery, 0, MACHINES);
    tcase_add_test(tests, a_folder_that_is_not_there_means_mains);
    tcase_add_test(tests, small_steps_are_not_worth_telling);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
