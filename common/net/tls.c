/* gRPC credentials out of the three PEM files, and their renewal when the files change. Any thread. */
#include "tls.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>
#include <sys/stat.h>

enum { RETRY_MS = 10000 };

static struct trib_net_tls paths_of(const struct trib_net_tls_source *source)
{
    return (struct trib_net_tls){
        .ca_path = source->ca_path, .cert_path = source->cert_path, .key_path = source->key_path};
}

/* A file that cannot be examined has the zero stamp; reading it will say why. */
static struct trib_net_stamp stamp_of(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return (struct trib_net_stamp){.len = 0};
    }
    return (struct trib_net_stamp){
        .changed = info.st_mtim, .inode = (uint64_t)info.st_ino, .len = (int64_t)info.st_size};
}

static bool same_stamp(const struct trib_net_stamp *a, const struct trib_net_stamp *b)
{
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec && a->inode == b->inode &&
           a->len == b->len;
}

bool trib_net_tls_source_changed(struct trib_net_tls_source *source)
{
    const char *const paths[3] = {source->ca_path, source->cert_path, source->key_path};
    pthread_mutex_lock(&source->lock);
    bool changed = source->retry_ms != 0 && trib_clock_ms() >= source->retry_ms;
    for (int i = 0; i < 3; i++) {
        struct trib_net_stamp now = stamp_of(paths[i]);
        changed = changed || !same_stamp(&now, &source->stamps[i]);
        source->stamps[i] = now;
    }
    source->retry_ms = changed ? 0 : source->retry_ms;
    pthread_mutex_unlock(&source->lock);
    return changed;
}

void trib_net_tls_source_failed(struct trib_net_tls_source *source)
{
    pthread_mutex_lock(&source->lock);
    source->retry_ms = trib_clock_ms() + RETRY_MS;
    pthread_mutex_unlock(&source->lock);
}

void trib_net_tls_source_free(struct trib_net_tls_source *source)
{
    if (!source) {
        return;
    }
    if (source->first) {
        grpc_ssl_server_certificate_config_destroy(source->first);
    }
    pthread_mutex_destroy(&source->lock);
    trib_free(source->ca_path);
    trib_free(source->cert_path);
    trib_free(source->key_path);
    trib_free(source);
}

enum trib_status trib_net_tls_source_new(const struct trib_net_tls *tls, bool server,
                                         struct trib_net_tls_source **source, struct trib_error *error)
{
    if (!tls->ca_path || !tls->cert_path || !tls->key_path) {
        return trib_fail(error, TRIB_CONFIG, "tls: the CA, the certificate and the key must all be given");
    }
    TRIB_TRY(trib_net_tls_policy(error));
    struct trib_net_tls_source *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    pthread_mutex_init(&made->lock, NULL);
    made->server = server;
    made->ca_path = trib_strdup(tls->ca_path);
    made->cert_path = trib_strdup(tls->cert_path);
    made->key_path = trib_strdup(tls->key_path);
    if (!made->ca_path || !made->cert_path || !made->key_path) {
        trib_net_tls_source_free(made);
        return trib_fail_no_memory(error);
    }
    /* Stamped before the first reading: a change in between is then read twice, not missed. */
    (void)trib_net_tls_source_changed(made);
    *source = made;
    return TRIB_OK;
}

static grpc_ssl_pem_key_cert_pair pair_of(const struct trib_net_pem *pem)
{
    return (grpc_ssl_pem_key_cert_pair){.private_key = (const char *)pem->key.data,
                                        .cert_chain = (const char *)pem->cert.data};
}

static enum trib_status make_config(const struct trib_net_tls_source *source,
                                    grpc_ssl_server_certificate_config **config, struct trib_error *error)
{
    struct trib_net_tls tls = paths_of(source);
    struct trib_net_pem pem;
    TRIB_TRY(trib_net_pem_load(&tls, true, &pem, error));
    grpc_ssl_pem_key_cert_pair pair = pair_of(&pem);
    *config = grpc_ssl_server_certificate_config_create((const char *)pem.ca.data, &pair, 1);
    trib_net_pem_clear(&pem);
    return TRIB_OK;
}

/* What travels with a server's credentials. gRPC asks once when they are made and then at each handshake, one at a time
 * under a lock of its own; the mutex within the source is for the tools that cannot see that lock. */
static grpc_ssl_certificate_config_reload_status fetch_config(void *user, grpc_ssl_server_certificate_config **config)
{
    struct trib_net_tls_source *source = user;
    struct trib_error error = {.status = TRIB_OK};
    pthread_mutex_lock(&source->lock);
    grpc_ssl_server_certificate_config *first = source->first;
    source->first = NULL;
    pthread_mutex_unlock(&source->lock);
    if (first) {
        *config = first;
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
    }
    if (!trib_net_tls_source_changed(source)) {
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    if (make_config(source, config, &error) != TRIB_OK) {
        trib_net_tls_source_failed(source);
        trib_log_error(TRIB_LOG_ERROR, "net", "tls_reload_failed", &error);
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    }
    trib_log(TRIB_LOG_INFO, "net", "tls_reloaded", TRIB_F_STR("cert", source->cert_path));
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

enum trib_status trib_net_server_credentials(struct trib_net_tls_source *source, grpc_server_credentials **credentials,
                                             struct trib_error *error)
{
    TRIB_TRY(make_config(source, &source->first, error));
    grpc_ssl_server_credentials_options *options = grpc_ssl_server_credentials_create_options_using_config_fetcher(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch_config, source);
    grpc_server_credentials *made = grpc_ssl_server_credentials_create_with_options(options);
    if (!made) {
        return trib_fail(error, TRIB_INTERNAL, "tls: gRPC refused the server's credentials");
    }
    *credentials = made;
    return TRIB_OK;
}

enum trib_status trib_net_channel_credentials(struct trib_net_tls_source *source,
                                              grpc_channel_credentials **credentials, struct trib_error *error)
{
    struct trib_net_tls tls = paths_of(source);
    struct trib_net_pem pem;
    TRIB_TRY(trib_net_pem_load(&tls, false, &pem, error));
    grpc_ssl_pem_key_cert_pair pair = pair_of(&pem);
    grpc_channel_credentials *made = grpc_ssl_credentials_create_ex((const char *)pem.ca.data, &pair, NULL, NULL);
    trib_net_pem_clear(&pem);
    if (!made) {
        return trib_fail(error, TRIB_INTERNAL, "tls: gRPC refused the client's credentials");
    }
    *credentials = made;
    return TRIB_OK;
}
