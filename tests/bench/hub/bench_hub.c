/* The cost of an event to a hub, and of a known node to its memory: a driven hub (no threads, no sockets) with as many
 * nodes known and connected as asked, of which a cohort of ten is at work. Lines are "name value unit". */
#include "hub/hub.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "bench_options.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct fake {
    struct trib_peer peer; /* first */
    uint64_t tasks;
};

static int64_t clock_ms = 1000;
static struct trib_server_settings settings;
static struct trib_hub *hub;
static struct fake *fakes;

static int64_t now_ms(void *context)
{
    (void)context;
    return clock_ms;
}

static enum trib_status send_message(struct trib_peer *peer, const ProtobufCMessage *message)
{
    struct fake *fake = (struct fake *)(void *)peer;
    const Tributary__V1__ServerMessage *told = (const void *)message;
    fake->tasks += told->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK;
    return TRIB_OK;
}

static void close_session(struct trib_peer *peer, const char *reason, bool final, uint32_t retry_seconds)
{
    (void)peer, (void)reason, (void) final, (void)retry_seconds;
}

static struct trib_peer *ref(struct trib_peer *peer)
{
    return peer;
}

static void unref(struct trib_peer *peer)
{
    (void)peer;
}

static const struct trib_peer_ops ops = {.send = send_message, .close = close_session, .ref = ref, .unref = unref};

static void must(enum trib_status status, const struct trib_error *error)
{
    if (status != TRIB_OK) {
        fprintf(stderr, "bench-hub: %s\n", error->message);
        exit(EXIT_FAILURE);
    }
}

static void open_hub(void)
{
    static const char text[] = "state_dir: state\ntls: {ca: a, certificate: b, key: c}\nmax_clients: 1000000\n"
                               "model: {name: logistic, example: [4], classes: 3}\n"
                               "compute: {backend: reference, threads: 1}\n"
                               "federation: {rounds: 1000, min_clients: 10, clients_per_round: 10, over_selection: 1, "
                               "idle_timeout: 1h, deadline: 24h}\n";
    static const struct trib_hub_driver driver = {.now_ms = now_ms};
    struct trib_error error;
    char path[] = "/tmp/bench-hub-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    close(fd);
    must(trib_server_settings_load(path, NULL, 0, &settings, &error), &error);
    unlink(path);
    trib_free(settings.state_dir); /* in memory */
    settings.state_dir = NULL;
    must(trib_hub_new_with(&(struct trib_hub_setup){.software = "bench", .driver = &driver}, &settings, false, &hub,
                           &error),
         &error);
}

static void join(uint32_t i)
{
    Tributary__V1__Hello hello = TRIBUTARY__V1__HELLO__INIT;
    static char f32[] = "f32", *codecs[] = {f32};
    char node[32];
    snprintf(node, sizeof node, "node-%06" PRIu32, i);
    fakes[i].peer.ops = &ops;
    hello.protocol = TRIB_PROTOCOL_VERSION;
    hello.examples = 100;
    hello.codecs = codecs;
    hello.n_codecs = 1;
    if (trib_hub_connect(hub, &fakes[i].peer, node, "bench", &hello) != TRIB_OK) {
        exit(EXIT_FAILURE);
    }
    trib_hub_turn(hub);
}

static void leave(uint32_t i)
{
    trib_hub_disconnect(hub, &fakes[i].peer, "bench");
    trib_hub_turn(hub);
}

static void progress(uint32_t i)
{
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    Tributary__V1__Progress body = TRIBUTARY__V1__PROGRESS__INIT;
    struct trib_buf packed = {0};
    ProtobufCMessage *copy = NULL;
    struct trib_error error;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS;
    message.progress = &body;
    must(trib_message_pack(&message.base, &packed), &error);
    must(trib_message_unpack(&tributary__v1__client_message__descriptor, packed.data, packed.len, &copy, &error),
         &error);
    trib_buf_clear(&packed);
    if (trib_hub_message(hub, &fakes[i].peer, (Tributary__V1__ClientMessage *)(void *)copy) != TRIB_OK) {
        exit(EXIT_FAILURE);
    }
    trib_hub_turn(hub);
}

static double rss_kb(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &pages, &resident) != 2) {
        resident = 0;
    }
    if (file) {
        fclose(file);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static void measure(uint32_t known, uint32_t connected)
{
    enum { EVENTS = 20000, JOINS = 2000 };
    fakes = calloc(known, sizeof *fakes);
    if (!fakes) {
        exit(EXIT_FAILURE);
    }
    memset(fakes, 1, known * sizeof *fakes); /* its pages are not the hub's */
    memset(fakes, 0, known * sizeof *fakes);
    open_hub();
    double before_kb = rss_kb();
    for (uint32_t i = 0; i < known; i++) {
        join(i);
        if (i >= connected) {
            leave(i);
        }
    }
    double after_kb = rss_kb();
    int64_t began_ns = trib_clock_ns();
    for (uint32_t i = 0; i < EVENTS; i++) {
        progress(i % connected);
    }
    int64_t told_ns = trib_clock_ns();
    for (uint32_t i = 0; i < JOINS; i++) {
        leave(connected - 1);
        join(connected - 1);
    }
    int64_t joined_ns = trib_clock_ns();
    printf("hub_%" PRIu32 "_of_%" PRIu32 "_progress %.0f ns\n", connected, known,
           (double)(told_ns - began_ns) / EVENTS);
    printf("hub_%" PRIu32 "_of_%" PRIu32 "_leave_and_join %.0f ns\n", connected, known,
           (double)(joined_ns - told_ns) / JOINS);
    printf("hub_%" PRIu32 "_of_%" PRIu32 "_memory_per_node %.0f bytes\n", connected, known,
           (after_kb - before_kb) * 1024 / known);
    fflush(stdout);
    trib_hub_free(hub);
    trib_server_settings_clear(&settings);
    free(fakes);
}

int main(int argc, char **argv)
{
    bench_options(argc, argv, "bench-hub", "What an event costs a hub, and a known node its memory.", NULL, 0);
    struct trib_error error;
    const struct trib_log_options quiet = {.level = TRIB_LOG_ERROR};
    must(trib_log_open(&quiet, &error), &error);
    measure(12, 12);
    measure(5000, 5000);
    measure(100000, 5000);
    return EXIT_SUCCESS;
}
