/* What the server has written down, read as others would: while its process is dead, nothing may be damaged, and in the
 * end its records tell what the oracle has seen. */
#include "oracle.h"

#include "base/str.h"
#include "store/state_check.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char dir[] = "/state", path[] = "/state/state.db";

static void use_disk(const struct world *world)
{
    trib_disk_use(sim_disk_table(world->server.host.disk));
}

/* ---- whole? ---- */

struct finding {
    char text[400]; /* the first damage; "" = none */
};

static void found(void *context, bool is_damage, const char *text)
{
    struct finding *finding = context;
    if (is_damage && !finding->text[0]) {
        (void)snprintf(finding->text, sizeof finding->text, "%s", text);
    }
}

void records_check_whole(struct world *world)
{
    struct trib_state_summary summary;
    struct trib_error error = {.message = ""};
    struct finding finding = {.text = ""};
    struct sim_disk *disk = world->server.host.disk;
    if (!disk) {
        return;
    }
    use_disk(world);
    enum trib_status status = trib_state_check(dir, TRIB_MEMBER_STATE_COUNT, found, &finding, &summary, &error);
    if (sim_disk_stopped(disk)) { /* in the middle of this: it says nothing */
        sim_disk_kill(disk);
        sim_disk_start(disk);
    } else if (status != TRIB_OK && status != TRIB_NOT_FOUND) {
        world_break(world, "the state directory does not pass its check: %s: %s", trib_status_name(status),
                    finding.text[0] ? finding.text : error.message);
    }
}

/* ---- right? ---- */

struct reading {
    struct world *world;
    uint64_t versions, folded;
};

static enum trib_status read_version(void *context, const void *record, struct trib_error *error)
{
    struct reading *reading = context;
    const struct oracle *oracle = reading->world->oracle;
    const struct trib_store_versions *row = record;
    (void)error;
    if (row->version >= oracle->n_versions ||
        memcmp(row->sha256, oracle->versions[row->version].sha256, sizeof row->sha256) != 0) {
        world_break(reading->world, "the records name version %" PRIu64 " wrongly", row->version);
    }
    reading->versions++;
    return TRIB_OK;
}

static enum trib_status read_outcome(void *context, const void *record, struct trib_error *error)
{
    struct reading *reading = context;
    struct world *world = reading->world;
    const struct trib_store_outcomes *row = record;
    (void)error;
    for (uint32_t who = 0; who < world->n_peers; who++) {
        bool its = strcmp(row->node, world->clients[who].node) == 0, folded = strcmp(row->outcome, "folded") == 0;
        if (its && folded != oracle_is_folded(world->oracle, who, row->round)) {
            world_break(world, "the records say \"%s\" of %s in round %" PRIu64 ", which is not so", row->outcome,
                        row->node, row->round);
        }
        reading->folded += its && folded;
    }
    return TRIB_OK;
}

static enum trib_status read_all(struct reading *reading, struct trib_store *store, struct trib_error *error)
{
    const struct trib_store_versions versions = {.version = 0};
    const struct trib_store_outcomes outcomes = {.round = 0};
    TRIB_TRY(trib_store_each(store, TRIB_STORE_versions, &versions, 0, read_version, reading, error));
    return trib_store_each(store, TRIB_STORE_outcomes, &outcomes, 0, read_outcome, reading, error);
}

void records_check_right(struct world *world)
{
    struct reading reading = {.world = world};
    struct trib_store *store = NULL;
    struct trib_error error = {.message = ""};
    if (!world->server.host.disk) {
        return;
    }
    sim_disk_stop_after(world->server.host.disk, UINT64_MAX);
    fault_heal(world, SERVER);
    records_check_whole(world);
    use_disk(world);
    enum trib_status status = trib_store_open(trib_store_backend_find("sqlite"), path, &store, &error);
    if (status == TRIB_OK) {
        status = read_all(&reading, store, &error);
        trib_store_close(store);
    }
    if (status != TRIB_OK) {
        world_break(world, "the records cannot be read: %s", error.message);
    } else if (reading.versions != world->oracle->n_versions) {
        world_break(world, "the records hold %" PRIu64 " versions of %zu", reading.versions, world->oracle->n_versions);
    } else if (reading.folded != world->totals.folded) {
        world_break(world, "the records hold %" PRIu64 " folded updates of %" PRIu64, reading.folded,
                    world->totals.folded);
    }
}

/* ---- rot ---- */

struct choice {
    struct world *world;
    char in[64], path[160];
    uint64_t n;
};

static bool choose_file(void *context, const char *name)
{
    struct choice *choice = context;
    if (strcmp(name, "tmp") != 0 && host_draw(choice->world, SERVER, ++choice->n) == 0) {
        (void)snprintf(choice->path, sizeof choice->path, "%s/%s", choice->in, name);
    }
    return true;
}

bool records_rot(struct world *world)
{
    struct choice folder = {.world = world, .in = "/state/blobs"}, file = {.world = world};
    use_disk(world);
    if (trib_disk_list(folder.in, choose_file, &folder) != 0 || !folder.path[0]) {
        return false;
    }
    (void)trib_str_copy(file.in, sizeof file.in, folder.path);
    return trib_disk_list(file.in, choose_file, &file) == 0 && file.path[0] &&
           sim_disk_corrupt(world->server.host.disk, file.path, host_draw(world, SERVER, 100));
}
