/* Members that come, speak and go. */
#include "run_private.h"

#include "base/log.h"
#include "base/rng.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* ---- introductions: any thread ---- */

/* What the client lacks of the update's chain, and what it has instead. */
static void check_codecs(const struct trib_run *run, const Tributary__V1__Hello *hello,
                         char refusal[TRIB_ERROR_MESSAGE_LEN])
{
    const char *lacking = trib_uplink_lacks(&run->rooms.uplink, hello->codecs, hello->n_codecs);
    if (!lacking) {
        return;
    }
    size_t used = (size_t)snprintf(refusal, TRIB_ERROR_MESSAGE_LEN,
                                   "this run needs codec \"%s\", which this client lacks; it has", lacking);
    for (size_t i = 0; i < hello->n_codecs && i < 64 && used < TRIB_ERROR_MESSAGE_LEN; i++) {
        int n = snprintf(refusal + used, TRIB_ERROR_MESSAGE_LEN - used, " %.32s", hello->codecs[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

void trib_run_introduce(const struct trib_run *run, const Tributary__V1__Hello *hello, const char *address,
                        struct trib_introduction *introduction, char refusal[TRIB_ERROR_MESSAGE_LEN])
{
    *introduction = (struct trib_introduction){
        .examples = hello->examples,
        .protocol = hello->protocol,
        .takes_deltas = !trib_chain_lacks(&run->rooms.sealer.down, hello->codecs, hello->n_codecs),
        .filtered = trib_filter_hello(&run->rooms.filters, hello),
        .device = trib_device_of(hello->device)};
    trib_str_copy(introduction->address, sizeof introduction->address, address);
    trib_str_copy(introduction->software, sizeof introduction->software, hello->software);
    refusal[0] = 0;
    check_codecs(run, hello, refusal);
}

/* ---- coming and going ---- */

static void tell_filtered(struct trib_run *run, uint32_t client)
{
    const char *why = trib_roster_filtered(run->rooms.roster, client);
    if (why) {
        trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_NODE_FILTERED,
                                               .node = trib_roster_node(run->rooms.roster, client),
                                               .reason = why});
    }
}

/* Why this peer may not have a session; NULL: it may, as this client. */
static const char *admit(struct trib_run *run, const char *node, uint32_t *client, uint32_t *retry_seconds)
{
    bool known = trib_roster_find(run->rooms.roster, node, client);
    *retry_seconds = 60;
    if ((!known || !trib_roster_session(run->rooms.roster, *client)) &&
        trib_roster_connected(run->rooms.roster) >= (size_t)run->rooms.settings->max_clients) {
        return "the server serves as many clients as it may";
    }
    return known || trib_roster_add(run->rooms.roster, node, client) == TRIB_OK ? NULL : "the server is out of memory";
}

static void join(struct trib_run *run, uint32_t client, const struct trib_introduction *introduction)
{
    const char *node = trib_roster_node(run->rooms.roster, client);
    trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_NODE_JOINED,
                                           .node = node,
                                           .address = introduction->address,
                                           .software = introduction->software,
                                           .examples = introduction->examples,
                                           .connected = trib_roster_connected(run->rooms.roster),
                                           .joined = trib_roster_joined(run->rooms.roster, client),
                                           .first_seen_ms = trib_roster_first_seen_ms(run->rooms.roster, client)});
    tell_filtered(run, client);
    trib_run_send_welcome(run, client);
    trib_run_step(run, &(struct trib_round_event){.kind = TRIB_EVENT_JOINED,
                                                  .client = client,
                                                  .examples = trib_run_most_examples(run, introduction->examples),
                                                  .eligible = trib_roster_eligible(run->rooms.roster, client),
                                                  .key = trib_hash64(node, strlen(node), 0)});
}

void trib_run_connect(struct trib_run *run, struct trib_peer *peer, const char *node,
                      const struct trib_introduction *introduction, const char *refusal)
{
    uint32_t client, retry_seconds;
    if (refusal[0]) {
        trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_NODE_REFUSED, .node = node, .reason = refusal});
        peer->ops->close(peer, refusal, false, 300); /* its next version may have it */
        return;
    }
    if (run->done) {
        bool complete = trib_run_complete(run);
        peer->ops->close(peer, complete ? "the run is finished" : "the server is stopping", complete, complete ? 0 : 2);
        return;
    }
    const char *why = admit(run, node, &client, &retry_seconds);
    if (why) {
        peer->ops->close(peer, why, false, retry_seconds);
        return;
    }
    const struct trib_session_facts *former = trib_roster_session(run->rooms.roster, client);
    if (former) {
        trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_NODE_REPLACED,
                                               .node = node,
                                               .old_address = former->said.address,
                                               .address = introduction->address});
        trib_roster_end(run->rooms.roster, client, "another session of this node has taken over", false, 30);
    }
    bool has_part =
        trib_parts_make(&run->rooms.parts, client) && trib_round_reserve_client(run->rooms.round, client) == TRIB_OK;
    if (!has_part || trib_roster_join(run->rooms.roster, client, peer, introduction,
                                      run->host.wall_ms(run->host.context)) != TRIB_OK) {
        peer->ops->close(peer, "the server is out of memory", false, 60);
        return;
    }
    peer->run = run;
    join(run, client, introduction);
}

void trib_run_disconnect(struct trib_run *run, struct trib_peer *peer, const char *reason)
{
    uint32_t client;
    if (run->done || !trib_roster_of_peer(run->rooms.roster, peer, &client)) {
        return;
    }
    enum trib_member_state state = trib_round_member(run->rooms.round, client);
    trib_roster_end(run->rooms.roster, client, NULL, false, 0);
    trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_NODE_LEFT,
                                           .node = trib_roster_node(run->rooms.roster, client),
                                           .reason = reason,
                                           .state = trib_member_state_name(state),
                                           .connected = trib_roster_connected(run->rooms.roster)});
    trib_run_step(run, &(struct trib_round_event){.kind = TRIB_EVENT_LEFT, .client = client});
}

/* ---- what clients say ---- */

/* A sign of life, and maybe news of the machine. */
static void on_progress(struct trib_run *run, uint32_t client, const Tributary__V1__Progress *progress)
{
    trib_run_step(run, &(struct trib_round_event){.kind = TRIB_EVENT_PROGRESS, .client = client});
    if (!progress->device) {
        return;
    }
    const struct trib_client_device device = trib_device_of(progress->device);
    if (trib_roster_device(run->rooms.roster, client, &device)) {
        tell_filtered(run, client);
        trib_run_step(run, &(struct trib_round_event){.kind = TRIB_EVENT_ELIGIBLE,
                                                      .client = client,
                                                      .eligible = trib_roster_eligible(run->rooms.roster, client)});
    }
}

static void on_failure(struct trib_run *run, uint32_t client, const Tributary__V1__Failure *failure)
{
    struct trib_part *part = trib_parts_of(&run->rooms.parts, client);
    bool counts = trib_run_step(
        run, &(struct trib_round_event){.kind = TRIB_EVENT_FAILURE, .client = client, .round = failure->round});
    trib_roster_note_graph(run->rooms.roster, client, false); /* for all we know, it has not got it */
    if (counts) {
        trib_part_forget_sketch(part);
    }
    trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_FAILED,
                                           .round = failure->round,
                                           .node = trib_roster_node(run->rooms.roster, client),
                                           .status = failure->status,
                                           .reason = failure->reason,
                                           .current = counts,
                                           .weight = part ? part->weight : 0});
}

void trib_run_message(struct trib_run *run, struct trib_peer *peer, const Tributary__V1__ClientMessage *message)
{
    uint32_t client;
    if (run->done || !trib_roster_of_peer(run->rooms.roster, peer, &client)) {
        return;
    }
    switch (message->kind_case) {
    case TRIBUTARY__V1__CLIENT_MESSAGE__KIND_PROGRESS:
        on_progress(run, client, message->progress);
        break;
    case TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER:
        trib_run_on_offer(run, client, message->offer);
        break;
    case TRIBUTARY__V1__CLIENT_MESSAGE__KIND_FAILURE:
        on_failure(run, client, message->failure);
        break;
    case TRIBUTARY__V1__CLIENT_MESSAGE__KIND_GOODBYE:
        trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_NODE_GOODBYE,
                                               .node = trib_roster_node(run->rooms.roster, client),
                                               .reason = message->goodbye->reason});
        trib_roster_dismiss(run->rooms.roster, client, "goodbye");
        break;
    default:
        trib_log(TRIB_LOG_WARN, "engine", "message_ignored",
                 TRIB_F_STR("node", trib_roster_node(run->rooms.roster, client)),
                 TRIB_F_INT("kind", message->kind_case));
        break;
    }
}

/* ---- bulk ---- */

void trib_run_progress(struct trib_run *run, const char *node)
{
    uint32_t client;
    if (!run->done && trib_roster_find(run->rooms.roster, node, &client)) {
        trib_run_step(run, &(struct trib_round_event){.kind = TRIB_EVENT_PROGRESS, .client = client});
    }
}

void trib_run_upload_ended(struct trib_run *run, const struct trib_upload_owner *owner, struct trib_upload *upload,
                           const char *fault)
{
    /* Another upload may have been granted meanwhile, or the round went on. */
    if (!run->done && (fault || trib_uploads_holds(run->rooms.uploads, upload))) {
        trib_run_step(run, &(struct trib_round_event){.kind = fault ? TRIB_EVENT_REFUSED : TRIB_EVENT_UPLOADED,
                                                      .client = owner->client,
                                                      .round = owner->round,
                                                      .attempt = owner->attempt,
                                                      .reason = fault ? fault : ""});
    }
    trib_upload_unref(upload);
}

void trib_run_upload_refused(struct trib_run *run, const char *node, enum trib_status status, const char *reason)
{
    uint32_t client;
    if (run->done) {
        return;
    }
    trib_log(TRIB_LOG_WARN, "upload", "upload_refused", TRIB_F_STR("node", node),
             TRIB_F_STR("status", trib_status_name(status)), TRIB_F_STR("reason", reason));
    /* An upload for a round that is over is no breach: its sender may be taking part in this one already. */
    bool breach = status == TRIB_PROTOCOL || status == TRIB_CORRUPT || status == TRIB_LIMIT;
    if (breach && trib_roster_find(run->rooms.roster, node, &client)) {
        uint64_t attempt = 0, round = trib_round_task_of(run->rooms.round, client, &attempt);
        trib_run_step(
            run,
            &(struct trib_round_event){
                .kind = TRIB_EVENT_REFUSED, .client = client, .round = round, .attempt = attempt, .reason = reason});
    }
}
