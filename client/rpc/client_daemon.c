/* The daemon's main loop: events from the mailbox, signals and the clock go into the session; its actions go to link
 * and worker. Everything here runs on the main thread. */
#include "client_rpc/client_daemon.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/signals.h"
#include "base/str.h"
#include "client/client_data.h"
#include "client/task_store.h"
#include "client/worker.h"
#include "client_rpc/link.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { GOODBYE_GRACE_MS = 1500, LONGEST_POLL_MS = 60000, DEVICE_EVERY_MS = 30000 };
static const char component[] = "client";

struct daemon {
    const struct trib_client_settings *settings;
    const struct trib_backend *backend;
    char identity[TRIB_IDENTITY_MAX];
    struct trib_net_tls tls;
    struct trib_mailbox events;
    bool has_events;
    struct trib_disk_budget *budget; /* of the state directory */
    struct trib_link *link;
    struct trib_worker *worker;
    struct trib_session *session;
    /* Actions that failed on the spot: their events, to be stepped after the list that they stood in. */
    struct trib_session_event failures[TRIB_SESSION_MAX_ACTIONS];
    size_t n_failures;
    int64_t device_at_ms; /* when to look at the device again */
    int signal_fd;
    bool ended, signalled;
    struct trib_error end; /* why */
};

/* ---- checks before the start ---- */

static enum trib_status find_backend(const struct trib_client_settings *settings, const struct trib_backend **backend,
                                     struct trib_error *error)
{
    const struct trib_backend *found = trib_compute_backend(settings->compute.backend);
    if (!found) {
        return trib_client_settings_fail(settings, "compute.backend", error, "no backend works on this machine");
    }
    if (found->probe) {
        enum trib_status status = found->probe(error);
        if (status != TRIB_OK) {
            return trib_error_prefix(error, status, "compute.backend %s", found->name);
        }
    }
    *backend = found;
    return TRIB_OK;
}

enum trib_status trib_client_daemon_check(const struct trib_client_settings *settings, char identity[TRIB_IDENTITY_MAX],
                                          struct trib_error *error)
{
    const struct trib_net_tls tls = trib_net_tls_of(&settings->tls);
    TRIB_TRY(trib_net_tls_check(&tls, false, error));
    TRIB_TRY(trib_net_identity_of(settings->tls.certificate, identity, TRIB_IDENTITY_MAX, error));
    if (settings->node && strcmp(settings->node, identity) != 0) {
        return trib_client_settings_fail(settings, "node", error,
                                         "\"%s\" is not the identity in tls.certificate, which is \"%s\"; a node is "
                                         "who its certificate says",
                                         settings->node, identity);
    }
    return trib_client_data_probe(settings, error);
}

/* ---- actions ---- */

static void fail_on_the_spot(struct daemon *daemon, enum trib_session_event_kind kind, uint64_t job,
                             const struct trib_error *error)
{
    struct trib_session_event *event = &daemon->failures[daemon->n_failures++];
    *event = (struct trib_session_event){.kind = kind, .job = job, .status = error->status};
    (void)trib_str_copy(event->reason, sizeof event->reason, error->message);
}

static void begin_training(struct daemon *daemon, const struct trib_session_action *action)
{
    struct trib_error error;
    struct trib_model_delivery delivery = {.route = *action->route};
    enum trib_status status = TRIB_OK;
    delivery.n_spools = trib_link_take(daemon->link, delivery.spools);
    if (delivery.n_spools != action->route->n_blobs) {
        status = trib_fail(&error, TRIB_INTERNAL, "what was downloaded is gone");
        trib_model_delivery_clear(&delivery);
    } else {
        status = trib_worker_train(daemon->worker, action->job, action->task, &delivery, &error);
    }
    if (status != TRIB_OK) {
        fail_on_the_spot(daemon, TRIB_SESSION_TRAINED, action->job, &error);
    }
}

static void begin_upload(struct daemon *daemon, const struct trib_session_action *action)
{
    struct trib_error error;
    const struct trib_link_upload upload = {.run = action->task->run,
                                            .round = action->task->round,
                                            .frame = action->update->frame,
                                            .sha256 = action->update->sha256,
                                            .offset = action->offset,
                                            .chunk_bytes = action->chunk_bytes};
    if (trib_link_upload(daemon->link, action->job, &upload, &error) != TRIB_OK) {
        fail_on_the_spot(daemon, TRIB_SESSION_UPLOADED, action->job, &error);
    }
}

static void send(struct daemon *daemon, const struct trib_session_action *action)
{
    struct trib_error error;
    if (trib_link_send(daemon->link, action->bytes.data, action->bytes.len, &error) != TRIB_OK) {
        trib_log_error(TRIB_LOG_WARN, component, "send_failed", &error);
        trib_link_disconnect(daemon->link); /* its event follows */
    }
}

static void act(struct daemon *daemon, const struct trib_session_action *action)
{
    struct trib_error error;
    switch (action->kind) {
    case TRIB_SESSION_CONNECT:
        if (trib_link_connect(daemon->link, action->job, &error) != TRIB_OK) {
            fail_on_the_spot(daemon, TRIB_SESSION_DISCONNECTED, action->job, &error);
        }
        break;
    case TRIB_SESSION_DISCONNECT:
        trib_link_disconnect(daemon->link);
        break;
    case TRIB_SESSION_SEND:
        send(daemon, action);
        break;
    case TRIB_SESSION_DOWNLOAD:
        if (trib_link_download(daemon->link, action->job, action->sha256, action->len, action->chunk_bytes, &error) !=
            TRIB_OK) {
            fail_on_the_spot(daemon, TRIB_SESSION_DOWNLOADED, action->job, &error);
        }
        break;
    case TRIB_SESSION_TRAIN:
        begin_training(daemon, action);
        break;
    case TRIB_SESSION_UPLOAD:
        begin_upload(daemon, action);
        break;
    case TRIB_SESSION_CANCEL_TRANSFER:
        trib_link_cancel(daemon->link, true);
        break;
    case TRIB_SESSION_CANCEL_WORK:
        trib_link_cancel(daemon->link, false);
        trib_worker_cancel(daemon->worker);
        break;
    case TRIB_SESSION_RELEASE:
        trib_worker_release(daemon->worker);
        break;
    case TRIB_SESSION_DROP_MODEL:
        trib_worker_drop_model(daemon->worker);
        break;
    case TRIB_SESSION_FORGET_UPDATE:
        trib_worker_forget_update(daemon->worker);
        break;
    case TRIB_SESSION_SETTLE:
        trib_worker_settle(daemon->worker, action->task->run, action->task->round, action->folded);
        break;
    case TRIB_SESSION_REPORT:
        trib_log_fields(action->level, component, action->event, action->fields, action->n_fields);
        break;
    case TRIB_SESSION_EXIT:
        daemon->ended = true;
        daemon->end.status = action->status;
        (void)trib_str_copy(daemon->end.message, sizeof daemon->end.message, action->text);
        break;
    }
}

/* ---- events ---- */

static void step(struct daemon *daemon, struct trib_session_event *event)
{
    struct trib_session_actions actions;
    actions.n = 0;
    event->now_ms = trib_clock_ms();
    trib_session_step(daemon->session, event, &actions);
    for (size_t i = 0; i < actions.n; i++) {
        act(daemon, &actions.list[i]);
    }
    trib_session_actions_clear(&actions);
}

static void step_failures(struct daemon *daemon)
{
    while (daemon->n_failures > 0) {
        struct trib_session_event event = daemon->failures[0];
        daemon->n_failures--;
        memmove(daemon->failures, daemon->failures + 1, daemon->n_failures * sizeof event);
        step(daemon, &event);
    }
}

static void step_all(struct daemon *daemon, struct trib_session_event *event)
{
    step(daemon, event);
    step_failures(daemon);
}

static void take_event(struct daemon *daemon, struct trib_session_event *event)
{
    step_all(daemon, event);
    if (event->kind == TRIB_SESSION_MESSAGE && !daemon->ended) {
        struct trib_error error;
        if (trib_link_read(daemon->link, event->job, &error) != TRIB_OK) {
            trib_log_error(TRIB_LOG_ERROR, component, "read_failed", &error);
            trib_link_disconnect(daemon->link);
        }
    }
    trib_session_event_free(event);
}

static void take_signals(struct daemon *daemon)
{
    int number;
    while ((number = trib_signals_take()) != 0) {
        if (number == SIGHUP) {
            trib_log_reopen();
            trib_log(TRIB_LOG_INFO, component, "log_reopened", TRIB_F_STR("signal", "SIGHUP"));
        } else if (!daemon->ended) {
            daemon->signalled = true;
            struct trib_session_event stop = {.kind = TRIB_SESSION_STOP};
            (void)trib_str_copy(stop.reason, sizeof stop.reason, number == SIGINT ? "SIGINT" : "SIGTERM");
            step_all(daemon, &stop);
        }
    }
}

static struct trib_device look_at_device(struct daemon *daemon)
{
    daemon->device_at_ms = trib_clock_ms() + DEVICE_EVERY_MS;
    return trib_device_read(daemon->settings->device_metered, (enum trib_battery_rule)daemon->settings->device_battery,
                            NULL);
}

static int poll_ms(const struct daemon *daemon)
{
    int64_t wake = trib_session_wake_ms(daemon->session), now = trib_clock_ms();
    wake = daemon->device_at_ms < wake ? daemon->device_at_ms : wake;
    return wake <= now ? 0 : wake - now > LONGEST_POLL_MS ? LONGEST_POLL_MS : (int)(wake - now);
}

static void loop(struct daemon *daemon)
{
    struct pollfd fds[] = {{.fd = trib_mailbox_fd(&daemon->events), .events = POLLIN},
                           {.fd = daemon->signal_fd, .events = POLLIN}};
    while (!daemon->ended) {
        if (daemon->device_at_ms <= trib_clock_ms()) {
            struct trib_session_event event = {.kind = TRIB_SESSION_DEVICE, .is.device = look_at_device(daemon)};
            step_all(daemon, &event);
        }
        if (trib_session_wake_ms(daemon->session) <= trib_clock_ms()) {
            struct trib_session_event tick = {.kind = TRIB_SESSION_TICK};
            step_all(daemon, &tick);
        }
        struct trib_session_event *event;
        while (!daemon->ended && (event = trib_session_event_pop(&daemon->events))) {
            take_event(daemon, event);
        }
        if (!daemon->ended && poll(fds, 2, poll_ms(daemon)) > 0 && fds[1].revents != 0) {
            take_signals(daemon);
        }
    }
}

/* ---- beginning and end ---- */

/* What an earlier process of this client left finished, unless the owner has no room for it any more. */
static bool load_finished(struct daemon *daemon, struct trib_client_finished *finished)
{
    const char *dir = daemon->settings->state_dir;
    struct trib_error error;
    if (!trib_task_store_load(dir, finished)) {
        trib_disk_budget_note(daemon->budget, TRIB_DISK_UPDATE, 0);
        return false;
    }
    if (trib_disk_budget_set(daemon->budget, TRIB_DISK_UPDATE, trib_task_store_len(&finished->update), &error) ==
        TRIB_OK) {
        return true;
    }
    trib_log_error(TRIB_LOG_WARN, component, "update_dropped", &error);
    trib_client_update_clear(&finished->update);
    trib_disk_budget_note(daemon->budget, TRIB_DISK_UPDATE, 0);
    trib_task_store_forget(dir);
    return false;
}

static enum trib_status open_session(struct daemon *daemon, const char *software, struct trib_error *error)
{
    const struct trib_client_settings *settings = daemon->settings;
    int threads = settings->compute.threads > 0 ? (int)settings->compute.threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
    const char *about = daemon->backend->describe ? daemon->backend->describe() : daemon->backend->help;
    trib_log(TRIB_LOG_INFO, component, "start", TRIB_F_STR("version", software), TRIB_F_STR("node", daemon->identity),
             TRIB_F_STR("server", settings->server_address), TRIB_F_STR("backend", daemon->backend->name),
             TRIB_F_STR("backend_is", about), TRIB_F_INT("threads", threads), TRIB_F_INT("pid", getpid()));
    struct trib_held_model held;
    struct trib_client_finished finished;
    trib_model_cache_peek(settings->state_dir, &held);
    bool has_finished = load_finished(daemon, &finished);
    const struct trib_session_config config = {
        .node = daemon->identity,
        .software = software,
        .tags = settings->tags,
        .n_tags = settings->n_tags,
        .threads = threads > 0 ? (uint32_t)threads : 1,
        .memory_bytes = (uint64_t)settings->max_memory,
        .reconnect_min_ms = settings->reconnect_min_ms,
        .reconnect_max_ms = settings->reconnect_max_ms,
        /* Clients that start together must not wait in step. */
        .seed = trib_hash64(daemon->identity, strlen(daemon->identity), (uint64_t)trib_clock_ns()),
        .held = held,
        .finished = has_finished ? &finished : NULL,
        .device = look_at_device(daemon),
    };
    daemon->session = trib_session_new(&config, trib_clock_ms());
    if (has_finished) {
        trib_client_update_clear(&finished.update);
    }
    return !daemon->session ? trib_fail_no_memory(error) : TRIB_OK;
}

static enum trib_status open_link(struct daemon *daemon, struct trib_error *error)
{
    const struct trib_client_settings *settings = daemon->settings;
    struct trib_link_config config = {
        .address = settings->server_address,
        .server_name = settings->server_name,
        .tls = &daemon->tls,
        .place = {.dir = settings->state_dir,
                  .budget = daemon->budget,
                  .limits = trib_client_settings_limits(settings)},
        .events = &daemon->events,
    };
    config.net = trib_net_limits_of(&settings->net);
    config.net.threads = 1;
    return trib_link_new(&config, &daemon->link, error);
}

static enum trib_status open_all(struct daemon *daemon, const char *software, struct trib_error *error)
{
    TRIB_TRY(trib_client_daemon_check(daemon->settings, daemon->identity, error));
    TRIB_TRY(find_backend(daemon->settings, &daemon->backend, error));
    TRIB_TRY(trib_mailbox_init(&daemon->events, true, error));
    daemon->has_events = true;
    TRIB_TRY(trib_disk_budget_new((uint64_t)daemon->settings->max_disk, &daemon->budget, error));
    if (daemon->settings->state_dir) {
        trib_disk_budget_look(daemon->budget, daemon->settings->state_dir);
    }
    TRIB_TRY(open_link(daemon, error));
    TRIB_TRY(open_session(daemon, software, error));
    /* The connection is under way while the data are being read. */
    struct trib_session_event tick = {.kind = TRIB_SESSION_TICK};
    step_all(daemon, &tick);
    const struct trib_worker_config worker = {
        .settings = daemon->settings, .backend = daemon->backend, .events = &daemon->events, .budget = daemon->budget};
    return trib_worker_new(&worker, &daemon->worker, error);
}

static void close_all(struct daemon *daemon)
{
    if (daemon->link) {
        trib_link_finish(daemon->link, GOODBYE_GRACE_MS);
    }
    trib_worker_free(daemon->worker);
    trib_link_free(daemon->link);
    trib_session_free(daemon->session);
    if (daemon->has_events) {
        trib_session_events_clear(&daemon->events);
    }
    trib_disk_budget_free(daemon->budget);
}

enum trib_status trib_client_daemon_run(const struct trib_client_settings *settings, const char *software,
                                        struct trib_error *error)
{
    struct daemon *daemon = trib_calloc(1, sizeof *daemon);
    if (!daemon) {
        return trib_fail_no_memory(error);
    }
    daemon->settings = settings;
    daemon->tls = trib_net_tls_of(&settings->tls);
    enum trib_status status = trib_signals_open(&daemon->signal_fd, &daemon->end);
    trib_net_init();
    if (status == TRIB_OK) {
        status = open_all(daemon, software, &daemon->end);
    }
    if (status == TRIB_OK) {
        loop(daemon);
        status = daemon->end.status;
    }
    if (status == TRIB_OK) {
        trib_log(TRIB_LOG_INFO, component, "stop", TRIB_F_STR("reason", daemon->end.message));
    } else {
        trib_log(TRIB_LOG_ERROR, component, "failed", TRIB_F_STR("status", trib_status_name(status)),
                 TRIB_F_STR("reason", daemon->end.message));
        if (error) {
            *error = daemon->end;
        }
    }
    if (daemon->signalled) {
        trib_signals_default(); /* a second signal while it ends ends it at once */
    }
    close_all(daemon);
    trib_net_shutdown();
    trib_signals_close();
    trib_free(daemon);
    return status;
}
