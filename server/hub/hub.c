/* The hub's thread, its mailbox and its two queues of jobs. */
#include "hub/hub.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    MESSAGES_PER_PEER = 256, /* an honest client says something about once a second, and the hub never waits for long */
    MEMORY_PAUSE_MS = 100    /* before an event is tried again that could not be taken for lack of memory */
};

enum item_kind { CONNECT, MESSAGE, DISCONNECT, PROGRESS, UPLOAD_ENDED, UPLOAD_REFUSED, RESUME, STOP };

/* What comes for the hub. */
struct item {
    struct trib_parcel parcel; /* first */
    enum item_kind kind;
    struct trib_run *run;   /* NULL: for all of them, or for the one of the peer */
    struct trib_peer *peer; /* CONNECT, MESSAGE, DISCONNECT: owned reference */
    Tributary__V1__ClientMessage *message;
    struct trib_introduction introduction; /* CONNECT */
    char node[TRIB_NODE_LEN];              /* CONNECT, PROGRESS, UPLOAD_REFUSED */
    char reason[TRIB_ERROR_MESSAGE_LEN];   /* CONNECT: why not; DISCONNECT, UPLOAD_REFUSED, UPLOAD_ENDED with a fault */
    enum trib_status status;               /* UPLOAD_REFUSED */
    struct trib_upload_owner owner;        /* UPLOAD_ENDED */
    struct trib_upload *upload;            /* UPLOAD_ENDED well: owned reference */
};

struct queue {
    struct trib_mailbox jobs;
    struct trib_hub *hub;
    pthread_t thread;
    struct trib_letter *next; /* taken and not done yet; a driver's */
};

struct trib_hub {
    const struct trib_hub_driver *driver; /* NULL: the hub has threads and the system's clock */
    char software[64];
    struct trib_run **runs; /* [n] */
    size_t n;
    struct trib_mailbox mailbox;
    struct queue arithmetic, disk;
    uint64_t tickets;
    struct trib_letter *waiting, **waiting_last; /* taken from the mailbox, not handled yet: memory was short */
    int64_t again_at_ms;                         /* when they are tried again */
    _Atomic(struct item *) stop;                 /* kept, so that a stop needs no memory; NULL: it was posted */
    int64_t linger_until_ms; /* runs that were complete at the start: for how long clients are told */
    _Atomic(uint64_t) bytes_up, bytes_down;
    pthread_t thread;
    void (*finished)(void *context);
    void *finished_context;
};

static int64_t now_ms(void *context)
{
    const struct trib_hub *hub = context;
    return hub->driver ? hub->driver->now_ms(hub->driver->context) : trib_clock_ms();
}

static int64_t wall_ms(void *context)
{
    const struct trib_hub *hub = context;
    return hub->driver ? hub->driver->now_ms(hub->driver->context) : trib_clock_wall_ms();
}

/* ---- items ---- */

static struct item *new_item(enum item_kind kind, struct trib_run *run)
{
    struct item *item = trib_calloc(1, sizeof *item);
    if (item) {
        item->kind = kind;
        item->run = run;
    }
    return item;
}

static void post(struct trib_hub *hub, struct item *item)
{
    trib_mailbox_post(&hub->mailbox, &item->parcel.letter);
}

static void free_letter(struct trib_letter *letter)
{
    struct trib_parcel *parcel = (struct trib_parcel *)letter;
    if (parcel->is_job) {
        trib_job_clear((struct trib_job *)parcel);
        trib_free(parcel);
        return;
    }
    struct item *item = (struct item *)parcel;
    if (item->kind == MESSAGE) {
        atomic_fetch_sub(&item->peer->queued, 1);
    }
    if (item->peer) {
        item->peer->ops->unref(item->peer);
    }
    if (item->message) {
        trib_message_free(&item->message->base);
    }
    trib_upload_unref(item->upload);
    trib_free(item);
}

/* ---- jobs ---- */

static void submit(void *context, struct trib_job *job)
{
    struct trib_hub *hub = context;
    job->ticket = hub->tickets++;
    trib_mailbox_post(trib_job_is_disk(job->kind) ? &hub->disk.jobs : &hub->arithmetic.jobs, &job->parcel.letter);
}

static void do_job(struct trib_hub *hub, struct trib_letter *letter)
{
    trib_job_do((struct trib_job *)letter);
    trib_mailbox_post(&hub->mailbox, letter); /* the answer is the job itself: telling it cannot fail */
}

static void *queue_main(void *context)
{
    struct queue *queue = context;
    struct trib_letter *letter;
    while ((letter = trib_mailbox_wait(&queue->jobs))) {
        do_job(queue->hub, letter);
    }
    return NULL;
}

static uint64_t ticket_of(struct queue *queue)
{
    queue->next = queue->next ? queue->next : trib_mailbox_pop(&queue->jobs);
    return queue->next ? ((const struct trib_job *)queue->next)->ticket : UINT64_MAX;
}

/* Without threads, jobs are done in the order in which they were asked for, whatever their queue. */
static bool do_next_job(struct trib_hub *hub)
{
    struct queue *queue = ticket_of(&hub->arithmetic) < ticket_of(&hub->disk) ? &hub->arithmetic : &hub->disk;
    struct trib_letter *letter = queue->next;
    queue->next = NULL;
    if (letter) {
        do_job(hub, letter);
    }
    return letter;
}

/* ---- what comes ---- */

static void handle_item(struct trib_hub *hub, struct item *item)
{
    struct trib_run *run = item->run;
    switch (item->kind) {
    case CONNECT:
        trib_run_connect(run, item->peer, item->node, &item->introduction, item->reason);
        break;
    case MESSAGE:
        if (item->peer->run) {
            trib_run_message(item->peer->run, item->peer, item->message);
        }
        break;
    case DISCONNECT:
        if (item->peer->run) {
            trib_run_disconnect(item->peer->run, item->peer, item->reason);
        }
        break;
    case PROGRESS:
        for (size_t i = 0; i < hub->n; i++) {
            trib_run_progress(hub->runs[i], item->node);
        }
        break;
    case UPLOAD_ENDED:
        trib_run_upload_ended(run, &item->owner, item->upload, item->upload ? NULL : item->reason);
        item->upload = NULL;
        break;
    case UPLOAD_REFUSED:
        trib_run_upload_refused(run, item->node, item->status, item->reason);
        break;
    case RESUME:
        trib_run_resume(run);
        break;
    case STOP:
        hub->linger_until_ms = 0;
        for (size_t i = 0; i < hub->n; i++) {
            trib_run_stop(hub->runs[i]);
        }
        break;
    }
}

static void handle(struct trib_hub *hub, struct trib_letter *letter)
{
    struct trib_parcel *parcel = (struct trib_parcel *)letter;
    if (parcel->is_job) {
        struct trib_job *job = (struct trib_job *)parcel;
        trib_run_job_done(job->run, job);
    } else {
        handle_item(hub, (struct item *)parcel);
        free_letter(letter);
    }
}

/* Nothing is handled before there is memory for all that it may need. */
static bool is_ready(struct trib_hub *hub)
{
    for (size_t i = 0; i < hub->n; i++) {
        if (!trib_run_done(hub->runs[i]) && !trib_run_ready(hub->runs[i])) {
            trib_log(TRIB_LOG_ERROR, "engine", "waiting_for_memory", TRIB_F_STR("run", trib_run_id(hub->runs[i])));
            hub->again_at_ms = now_ms(hub) + MEMORY_PAUSE_MS;
            return false;
        }
    }
    hub->again_at_ms = 0;
    return true;
}

static void handle_all(struct trib_hub *hub, struct trib_letter *letters)
{
    *hub->waiting_last = letters;
    while (*hub->waiting_last) {
        hub->waiting_last = &(*hub->waiting_last)->next;
    }
    while (hub->waiting && is_ready(hub)) {
        struct trib_letter *letter = hub->waiting;
        hub->waiting = letter->next;
        hub->waiting_last = hub->waiting ? hub->waiting_last : &hub->waiting;
        letter->next = NULL;
        handle(hub, letter);
    }
    if (!hub->waiting && is_ready(hub)) {
        for (size_t i = 0; i < hub->n; i++) {
            trib_run_settle(hub->runs[i]);
        }
    }
}

int64_t trib_hub_wake_ms(const struct trib_hub *hub)
{
    int64_t wake_ms = hub->again_at_ms > 0 ? hub->again_at_ms : INT64_MAX;
    for (size_t i = 0; hub->again_at_ms == 0 && i < hub->n; i++) {
        int64_t run_ms = trib_run_wake_ms(hub->runs[i]);
        wake_ms = run_ms < wake_ms ? run_ms : wake_ms;
    }
    return wake_ms;
}

/* ---- the thread ---- */

static void *hub_main(void *context)
{
    struct trib_hub *hub = context;
    for (size_t i = 0; trib_hub_done(hub) && i < hub->n; i++) {
        /* clients of a run that was complete at the start: those who missed its end may come */
        int64_t until_ms = now_ms(hub) + trib_run_settings(hub->runs[i])->linger_ms;
        hub->linger_until_ms = until_ms > hub->linger_until_ms ? until_ms : hub->linger_until_ms;
    }
    for (;;) {
        bool done = trib_hub_done(hub);
        if (done && now_ms(hub) >= hub->linger_until_ms) {
            break;
        }
        handle_all(hub, trib_mailbox_take(&hub->mailbox, done ? hub->linger_until_ms : trib_hub_wake_ms(hub)));
    }
    hub->finished(hub->finished_context);
    return NULL;
}

static void end_queues(struct trib_hub *hub)
{
    trib_mailbox_close(&hub->arithmetic.jobs);
    trib_mailbox_close(&hub->disk.jobs);
}

enum trib_status trib_hub_start(struct trib_hub *hub, void (*finished)(void *context), void *context,
                                struct trib_error *error)
{
    hub->finished = finished;
    hub->finished_context = context;
    int errnum = pthread_create(&hub->arithmetic.thread, NULL, queue_main, &hub->arithmetic);
    if (errnum != 0) {
        return trib_fail_errno(error, errnum, "cannot start the arithmetic thread");
    }
    errnum = pthread_create(&hub->disk.thread, NULL, queue_main, &hub->disk);
    if (errnum != 0) {
        end_queues(hub);
        pthread_join(hub->arithmetic.thread, NULL);
        return trib_fail_errno(error, errnum, "cannot start the disk thread");
    }
    errnum = pthread_create(&hub->thread, NULL, hub_main, hub);
    if (errnum != 0) {
        end_queues(hub);
        pthread_join(hub->arithmetic.thread, NULL);
        pthread_join(hub->disk.thread, NULL);
        return trib_fail_errno(error, errnum, "cannot start the hub's thread");
    }
    return TRIB_OK;
}

void trib_hub_stop(struct trib_hub *hub)
{
    struct item *item = atomic_exchange(&hub->stop, NULL);
    if (item) {
        post(hub, item);
    }
}

static void free_letters(struct trib_letter *letter)
{
    while (letter) {
        struct trib_letter *next = letter->next;
        free_letter(letter);
        letter = next;
    }
}

void trib_hub_join(struct trib_hub *hub)
{
    pthread_join(hub->thread, NULL);
    end_queues(hub);
    pthread_join(hub->arithmetic.thread, NULL);
    pthread_join(hub->disk.thread, NULL);
    free_letters(trib_mailbox_take(&hub->mailbox, 0));
}

/* ---- without threads ---- */

void trib_hub_turn(struct trib_hub *hub)
{
    bool more = true;
    while (more) {
        struct trib_letter *letters = trib_mailbox_take(&hub->mailbox, 0);
        more = letters;
        handle_all(hub, letters);
        while (do_next_job(hub)) {
            more = true;
        }
        more = more || trib_hub_wake_ms(hub) <= now_ms(hub);
    }
}

/* ---- the hub ---- */

enum trib_status trib_hub_new(const struct trib_hub_setup *setup, struct trib_hub **hub, struct trib_error *error)
{
    struct trib_hub *made = trib_calloc(1, sizeof *made);
    struct item *stop = new_item(STOP, NULL);
    if (!made || !stop) {
        trib_free(made);
        trib_free(stop);
        return trib_fail_no_memory(error);
    }
    /* without a file descriptor a mailbox cannot fail */
    if (trib_mailbox_init(&made->mailbox, false, error) != TRIB_OK ||
        trib_mailbox_init(&made->arithmetic.jobs, false, error) != TRIB_OK ||
        trib_mailbox_init(&made->disk.jobs, false, error) != TRIB_OK) {
        trib_free(made);
        trib_free(stop);
        return TRIB_INTERNAL;
    }
    atomic_init(&made->stop, stop);
    made->arithmetic.hub = made->disk.hub = made;
    made->waiting_last = &made->waiting;
    made->driver = setup->driver;
    trib_str_copy(made->software, sizeof made->software, setup->software);
    *hub = made;
    return TRIB_OK;
}

static void free_queue(struct queue *queue)
{
    free_letters(queue->next);
    free_letters(trib_mailbox_take(&queue->jobs, 0));
    trib_mailbox_clear(&queue->jobs);
}

void trib_hub_free(struct trib_hub *hub)
{
    if (!hub) {
        return;
    }
    free_letters(hub->waiting);
    free_letters(trib_mailbox_take(&hub->mailbox, 0));
    free_queue(&hub->arithmetic);
    free_queue(&hub->disk);
    trib_free(atomic_load(&hub->stop));
    for (size_t i = 0; i < hub->n; i++) {
        trib_run_free(hub->runs[i]);
    }
    trib_free(hub->runs);
    trib_mailbox_clear(&hub->mailbox);
    trib_free(hub);
}

static void upload_ended(void *context, struct trib_run *run, const struct trib_upload_owner *owner,
                         struct trib_upload *upload, const char *fault)
{
    struct trib_hub *hub = context;
    struct item *item = new_item(UPLOAD_ENDED, run);
    if (!item) {
        trib_log(TRIB_LOG_ERROR, "engine", "event_lost", TRIB_F_STR("reason", "out of memory"));
        trib_upload_unref(upload);
        return; /* the client's idle timeout will end its part */
    }
    item->owner = *owner;
    item->upload = upload;
    trib_str_copy(item->reason, sizeof item->reason, fault ? fault : "");
    post(hub, item);
}

static void observe(void *context, const struct trib_fact *fact)
{
    const struct trib_hub *hub = context;
    if (hub->driver && hub->driver->observe) {
        hub->driver->observe(hub->driver->context, fact);
    }
}

enum trib_status trib_hub_open(struct trib_hub *hub, const struct trib_server_settings *settings, bool new_run,
                               struct trib_error *error)
{
    const struct trib_run_setup setup = {.settings = settings,
                                         .software = hub->software,
                                         .new_run = new_run,
                                         .host = {.context = hub,
                                                  .now_ms = now_ms,
                                                  .wall_ms = wall_ms,
                                                  .submit = submit,
                                                  .upload_ended = upload_ended,
                                                  .observe = observe,
                                                  .bytes_up = &hub->bytes_up,
                                                  .bytes_down = &hub->bytes_down,
                                                  .simulated = hub->driver}};
    struct trib_run **runs = trib_realloc_array(hub->runs, hub->n + 1, sizeof(struct trib_run *));
    if (!runs) {
        return trib_fail_no_memory(error);
    }
    hub->runs = runs;
    struct item *resume = new_item(RESUME, NULL);
    enum trib_status status = resume ? trib_run_new(&setup, &resume->run, error) : trib_fail_no_memory(error);
    if (status != TRIB_OK) {
        trib_free(resume);
        return status;
    }
    hub->runs[hub->n++] = resume->run;
    if (settings->state_dir) {
        post(hub, resume);
    } else {
        trib_free(resume);
    }
    return TRIB_OK;
}

enum trib_status trib_hub_new_with(const struct trib_hub_setup *setup, const struct trib_server_settings *settings,
                                   bool new_run, struct trib_hub **hub, struct trib_error *error)
{
    struct trib_hub *made = NULL;
    TRIB_TRY(trib_hub_new(setup, &made, error));
    enum trib_status status = trib_hub_open(made, settings, new_run, error);
    if (status != TRIB_OK) {
        trib_hub_free(made);
        return status;
    }
    *hub = made;
    return TRIB_OK;
}

size_t trib_hub_runs(const struct trib_hub *hub)
{
    return hub->n;
}

struct trib_run *trib_hub_run(const struct trib_hub *hub, size_t i)
{
    return hub->runs[i];
}

bool trib_hub_done(const struct trib_hub *hub)
{
    bool done = true;
    for (size_t i = 0; i < hub->n; i++) {
        done = done && trib_run_done(hub->runs[i]);
    }
    return done;
}

bool trib_hub_complete(const struct trib_hub *hub)
{
    bool complete = true;
    for (size_t i = 0; i < hub->n; i++) {
        complete = complete && trib_run_complete(hub->runs[i]);
    }
    return complete;
}

enum trib_status trib_hub_failure(const struct trib_hub *hub, struct trib_error *error)
{
    enum trib_status status = TRIB_OK;
    for (size_t i = 0; status == TRIB_OK && i < hub->n; i++) {
        status = trib_run_failure(hub->runs[i], error);
    }
    return status;
}

/* ---- from any thread ---- */

/* NULL: there is no such run. */
static struct trib_run *find_run(const struct trib_hub *hub, const char *id)
{
    for (size_t i = 0; i < hub->n; i++) {
        if (strcmp(trib_run_id(hub->runs[i]), id) == 0) {
            return hub->runs[i];
        }
    }
    return NULL;
}

/* The run that an id names, else the first one, which then says what is wrong with the id. */
static struct trib_run *run_or_first(const struct trib_hub *hub, const char *id)
{
    struct trib_run *run = find_run(hub, id);
    return run ? run : hub->runs[0];
}

enum trib_status trib_hub_connect(struct trib_hub *hub, struct trib_peer *peer, const char *node, const char *address,
                                  const Tributary__V1__Hello *hello)
{
    struct item *item = new_item(CONNECT, run_or_first(hub, hello->run));
    if (!item) {
        return TRIB_NO_MEMORY;
    }
    item->peer = peer->ops->ref(peer);
    trib_str_copy(item->node, sizeof item->node, node);
    trib_run_introduce(item->run, hello, address, &item->introduction, item->reason);
    if (hello->run[0] && !find_run(hub, hello->run)) {
        snprintf(item->reason, sizeof item->reason, "run \"%.32s\" is not served here; leave the run open, or ask %s",
                 hello->run, trib_run_id(item->run));
    }
    post(hub, item);
    return TRIB_OK;
}

enum trib_status trib_hub_message(struct trib_hub *hub, struct trib_peer *peer, Tributary__V1__ClientMessage *message)
{
    bool flooded = atomic_load(&peer->queued) >= MESSAGES_PER_PEER;
    struct item *item = flooded ? NULL : new_item(MESSAGE, NULL);
    if (!item) {
        trib_message_free(&message->base);
        return flooded ? TRIB_LIMIT : TRIB_NO_MEMORY;
    }
    item->peer = peer->ops->ref(peer);
    atomic_fetch_add(&peer->queued, 1);
    item->message = message;
    post(hub, item);
    return TRIB_OK;
}

void trib_hub_disconnect(struct trib_hub *hub, struct trib_peer *peer, const char *reason)
{
    struct item *item = new_item(DISCONNECT, NULL);
    if (!item) {
        trib_log(TRIB_LOG_ERROR, "engine", "event_lost", TRIB_F_STR("reason", "out of memory"));
        return; /* the client's idle timeout will end its part */
    }
    item->peer = peer->ops->ref(peer);
    trib_str_copy(item->reason, sizeof item->reason, reason);
    post(hub, item);
}

void trib_hub_count(struct trib_hub *hub, uint64_t bytes_up, uint64_t bytes_down)
{
    atomic_fetch_add_explicit(&hub->bytes_up, bytes_up, memory_order_relaxed);
    atomic_fetch_add_explicit(&hub->bytes_down, bytes_down, memory_order_relaxed);
}

void trib_hub_progress(struct trib_hub *hub, const char *node)
{
    struct item *item = new_item(PROGRESS, NULL);
    if (item) {
        trib_str_copy(item->node, sizeof item->node, node);
        post(hub, item);
    }
}

struct trib_blob *trib_hub_blob(struct trib_hub *hub, const uint8_t sha256[32])
{
    struct trib_blob *blob = NULL;
    for (size_t i = 0; !blob && i < hub->n; i++) {
        blob = trib_run_blob(hub->runs[i], sha256);
    }
    return blob;
}

enum trib_status trib_hub_upload_open(struct trib_hub *hub, const char *node, const struct trib_chunk *first,
                                      struct trib_upload **upload, struct trib_error *error)
{
    return trib_uploads_open(trib_run_uploads(run_or_first(hub, first->run)), node, first, upload, error);
}

void trib_hub_upload_refused(struct trib_hub *hub, const char *node, const struct trib_error *fault)
{
    struct item *item = new_item(UPLOAD_REFUSED, hub->runs[0]);
    if (item) {
        trib_str_copy(item->node, sizeof item->node, node);
        trib_str_copy(item->reason, sizeof item->reason, fault->message);
        item->status = fault->status;
        post(hub, item);
    }
}
