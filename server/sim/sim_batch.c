/* Runs in processes of their own; their points come back through pipes. */
#include "sim/sim_batch.h"

#include "base/mem.h"
#include "base/signals.h"
#include "base/str.h"
#include "scratch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child says: a point, or why its run failed. Between processes of one program, so plain bytes do. */
struct message {
    enum trib_status status; /* OK: a point */
    union {
        struct trib_sim_point point;
        char text[TRIB_ERROR_MESSAGE_LEN];
    } is;
};
struct child {
    pid_t pid; /* 0 = none */
    int fd;
    size_t task;
    enum trib_status status; /* what it said */
    struct message message;  /* the first `received` bytes of it */
    size_t received;
};
struct batch {
    const struct trib_sim_batch *wish;
    struct trib_sim_curve *curves;
    struct child *children; /* [jobs] */
    struct pollfd *fds;     /* [jobs + 1]: theirs, and that of signals */
    int jobs, threads, signal_fd;
    size_t next; /* task to be started */
    char *scratch;
    enum trib_status status; /* of the first run that failed */
};

/* ---- in the child ---- */

static void say(int fd, const struct message *message)
{
    const char *at = (const char *)message;
    size_t left = sizeof *message;
    while (left > 0) {
        ssize_t wrote = write(fd, at, left);
        if (wrote < 0 && errno != EINTR) {
            _exit(1); /* nobody listens any more */
        }
        at += wrote > 0 ? wrote : 0;
        left -= wrote > 0 ? (size_t)wrote : 0;
    }
}

static void say_point(void *context, const struct trib_sim_point *point)
{
    struct message message;
    memset(&message, 0, sizeof message);
    message.is.point = *point;
    say(*(const int *)context, &message);
}

static enum trib_status open_log(const struct trib_sim_batch *wish, size_t task, struct trib_error *error)
{
    char *path = NULL;
    if (wish->log_path) {
        path = task == 0 ? trib_strdup(wish->log_path) : trib_asprintf("%s.%zu", wish->log_path, task);
        if (!path) {
            return trib_fail_no_memory(error);
        }
    }
    const struct trib_log_options options = {.level = path ? wish->log_level : TRIB_LOG_ERROR,
                                             .path = path ? path : "/dev/null"};
    enum trib_status status = trib_log_open(&options, error);
    trib_free(path);
    return status;
}

static enum trib_status run_task(const struct batch *batch, size_t number, int fd, struct trib_error *error)
{
    const struct trib_sim_task *task = &batch->wish->tasks[number];
    TRIB_TRY(open_log(batch->wish, number, error));
    char *scratch = trib_asprintf("%s/%zu", batch->scratch, number);
    if (!scratch) {
        return trib_fail_no_memory(error);
    }
    const struct trib_sim_run run = {.settings = task->settings,
                                     .seed = task->seed,
                                     .threads = batch->threads,
                                     .scratch = scratch,
                                     .point = say_point,
                                     .context = &fd};
    enum trib_status status = trib_sim_run(&run, error);
    trib_free(scratch);
    trib_log_close();
    return status;
}

_Noreturn static void be_child(const struct batch *batch, size_t number, int fd, pid_t parent)
{
    struct trib_error error = {.message = ""};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) { /* it died before it could be watched */
        _exit(1);
    }
    trib_signals_default();
    enum trib_status status = run_task(batch, number, fd, &error);
    if (status != TRIB_OK) {
        struct message message;
        memset(&message, 0, sizeof message);
        message.status = status;
        (void)trib_str_copy(message.is.text, sizeof message.is.text, error.message);
        say(fd, &message);
    }
    _exit(0);
}

/* ---- in the parent ---- */

static enum trib_status start(struct batch *batch, struct child *child, struct trib_error *error)
{
    int ends[2];
    size_t task = batch->next;
    if (pipe(ends) != 0) {
        return trib_fail_errno(error, errno, "a pipe for a run");
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        int errnum = errno;
        close(ends[0]);
        close(ends[1]);
        return trib_fail_errno(error, errnum, "a process for a run");
    }
    if (pid == 0) {
        close(ends[0]);
        be_child(batch, task, ends[1], parent);
    }
    close(ends[1]);
    *child = (struct child){.pid = pid, .fd = ends[0], .task = task};
    batch->next++;
    return TRIB_OK;
}

static void tell(const struct batch *batch, size_t task, bool ended)
{
    if (batch->wish->changed) {
        batch->wish->changed(batch->wish->context, task, &batch->curves[task], ended);
    }
}

static void take_message(struct batch *batch, struct child *child)
{
    struct trib_sim_curve *curve = &batch->curves[child->task];
    const struct message *message = &child->message;
    child->received = 0;
    if (message->status != TRIB_OK) {
        child->status = message->status;
        (void)trib_str_copy(curve->error, sizeof curve->error, message->is.text);
    } else if (trib_sim_curve_append(curve, &message->is.point) != TRIB_OK) {
        child->status = TRIB_NO_MEMORY;
        (void)trib_str_copy(curve->error, sizeof curve->error, "out of memory for its points");
    } else {
        tell(batch, child->task, false);
    }
}

/* How its process ended, if that says more than it did itself. */
static void take_exit(struct child *child, struct trib_sim_curve *curve)
{
    int how = 0;
    while (waitpid(child->pid, &how, 0) < 0 && errno == EINTR) {
    }
    close(child->fd);
    child->pid = 0;
    if (child->status != TRIB_OK || (WIFEXITED(how) && WEXITSTATUS(how) == 0)) {
        return;
    }
    child->status = TRIB_INTERNAL;
    if (WIFSIGNALED(how)) {
        snprintf(curve->error, sizeof curve->error, "its process was killed by signal %d (%s)%s", WTERMSIG(how),
                 strsignal(WTERMSIG(how)), WTERMSIG(how) == SIGKILL ? "; the machine may be short of memory" : "");
    } else {
        snprintf(curve->error, sizeof curve->error, "its process ended with status %d", WEXITSTATUS(how));
    }
}

static void end_child(struct batch *batch, struct child *child)
{
    take_exit(child, &batch->curves[child->task]);
    batch->status = batch->status == TRIB_OK ? child->status : batch->status;
    tell(batch, child->task, true);
}

static void read_child(struct batch *batch, struct child *child)
{
    ssize_t n = read(child->fd, (char *)&child->message + child->received, sizeof child->message - child->received);
    if (n > 0) {
        child->received += (size_t)n;
        if (child->received == sizeof child->message) {
            take_message(batch, child);
        }
    } else if (n == 0 || errno != EINTR) {
        end_child(batch, child);
    }
}

static void kill_all(struct batch *batch)
{
    for (int i = 0; i < batch->jobs; i++) {
        struct child *child = &batch->children[i];
        if (child->pid != 0) {
            kill(child->pid, SIGKILL);
            while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
            }
            close(child->fd);
            child->pid = 0;
        }
    }
}

/* Wait until something comes from a child or a signal; *signalled says which. */
static void wait_for_news(struct batch *batch, bool *signalled)
{
    for (int i = 0; i < batch->jobs; i++) {
        batch->fds[i] = (struct pollfd){.fd = batch->children[i].pid ? batch->children[i].fd : -1, .events = POLLIN};
    }
    batch->fds[batch->jobs] = (struct pollfd){.fd = batch->signal_fd, .events = POLLIN};
    if (poll(batch->fds, (nfds_t)batch->jobs + 1, -1) <= 0) {
        return;
    }
    for (int i = 0; i < batch->jobs; i++) {
        if (batch->fds[i].revents) {
            read_child(batch, &batch->children[i]);
        }
    }
    int number;
    while ((number = trib_signals_take()) != 0) {
        *signalled = *signalled || number == SIGINT || number == SIGTERM;
    }
}

static enum trib_status run_all(struct batch *batch, struct trib_error *error)
{
    bool signalled = false;
    for (;;) {
        int running = 0;
        for (int i = 0; i < batch->jobs; i++) {
            if (batch->children[i].pid == 0 && batch->next < batch->wish->n) {
                TRIB_TRY(start(batch, &batch->children[i], error));
            }
            running += batch->children[i].pid != 0;
        }
        if (running == 0) {
            return TRIB_OK;
        }
        wait_for_news(batch, &signalled);
        if (signalled) {
            return trib_fail(error, TRIB_CANCELLED, "interrupted; nothing was written");
        }
    }
}

/* How many runs at a time, and threads for each of them. */
static void share_out(struct batch *batch)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int most = cores > 0 ? (int)cores : 1;
    batch->jobs = batch->wish->jobs > 0 ? batch->wish->jobs : most;
    if ((size_t)batch->jobs > batch->wish->n) {
        batch->jobs = (int)batch->wish->n;
    }
    batch->threads = most / batch->jobs > 0 ? most / batch->jobs : 1;
    if (batch->wish->threads > 0) {
        batch->threads = batch->wish->threads;
    }
}

static enum trib_status summarise(const struct batch *batch, struct trib_error *error)
{
    size_t failed = 0, first = 0;
    for (size_t i = batch->wish->n; i-- > 0;) {
        if (batch->curves[i].error[0]) {
            failed++;
            first = i;
        }
    }
    if (failed == 0) {
        return TRIB_OK;
    }
    const struct trib_sim_curve *curve = &batch->curves[first];
    return trib_fail(error, batch->status, "%zu of %zu runs failed; %s, seed %llu: %s", failed, batch->wish->n,
                     curve->variant, (unsigned long long)curve->seed, curve->error);
}

static enum trib_status open_batch(struct batch *batch, struct trib_error *error)
{
    batch->children = trib_calloc((size_t)batch->jobs, sizeof *batch->children);
    batch->fds = trib_calloc((size_t)batch->jobs + 1, sizeof *batch->fds);
    if (!batch->children || !batch->fds) {
        return trib_fail_no_memory(error);
    }
    TRIB_TRY(trib_scratch_make(&batch->scratch, error));
    return trib_signals_open(&batch->signal_fd, error);
}

enum trib_status trib_sim_batch_run(const struct trib_sim_batch *wish, struct trib_sim_curve *curves,
                                    struct trib_error *error)
{
    struct batch batch = {.wish = wish, .curves = curves};
    share_out(&batch);
    for (size_t i = 0; i < wish->n; i++) {
        trib_sim_curve_init(&curves[i], wish->tasks[i].settings->variant, wish->tasks[i].seed);
    }
    enum trib_status status = open_batch(&batch, error);
    if (status == TRIB_OK) {
        status = run_all(&batch, error);
        kill_all(&batch);
        trib_signals_close();
    }
    trib_scratch_remove(batch.scratch);
    trib_free(batch.children);
    trib_free(batch.fds);
    return status == TRIB_OK ? summarise(&batch, error) : status;
}
