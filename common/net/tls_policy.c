/* The policy is TLS 1.3 and nothing older. gRPC's C interface of this version cannot say so: it asks OpenSSL for 1.2
 * and up on every context. OpenSSL itself can, by its documented system default, a configuration section that each new
 * context starts from: protocols switched off there stay off whatever minimum is asked for later. The administrator's
 * own system default (openssl.cnf) is kept, ours comes after it. */
#include "tls.h"

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <pthread.h>

/* A backslash goes before every character that could mean something to the parser. */
static enum trib_status add_escaped(struct trib_buf *text, const char *value)
{
    for (; *value != '\0'; value++) {
        bool plain =
            (*value >= 'a' && *value <= 'z') || (*value >= 'A' && *value <= 'Z') || (*value >= '0' && *value <= '9');
        TRIB_TRY(trib_buf_printf(text, plain ? "%c" : "\\%c", *value));
    }
    return TRIB_OK;
}

/* Copy the lines of the system default that openssl.cnf names, if there is one. */
static enum trib_status add_system_default(struct trib_buf *text, const CONF *conf)
{
    const char *modules = NCONF_get_string(conf, NULL, "openssl_conf");
    const char *names = modules ? NCONF_get_string(conf, modules, "ssl_conf") : NULL;
    const char *section = names ? NCONF_get_string(conf, names, "system_default") : NULL;
    STACK_OF(CONF_VALUE) *lines = section ? NCONF_get_section(conf, section) : NULL;
    for (int i = 0; lines && i < sk_CONF_VALUE_num(lines); i++) {
        const CONF_VALUE *line = sk_CONF_VALUE_value(lines, i);
        TRIB_TRY(trib_buf_printf(text, "%s = ", line->name));
        TRIB_TRY(add_escaped(text, line->value));
        TRIB_TRY(trib_buf_add_text(text, "\n"));
    }
    return TRIB_OK;
}

static enum trib_status write_policy(struct trib_buf *text)
{
    enum trib_status status = TRIB_OK;
    TRIB_TRY(trib_buf_add_text(text, "tributary = modules\n[modules]\nssl_conf = names\n[names]\n"
                                     "system_default = policy\n[policy]\n"));
    char *path = CONF_get1_default_config_file();
    CONF *conf = path ? NCONF_new(NULL) : NULL;
    if (conf && NCONF_load(conf, path, NULL) > 0) {
        status = add_system_default(text, conf);
    }
    NCONF_free(conf);
    OPENSSL_free(path);
    TRIB_TRY(status);
    return trib_buf_add_text(text, "Protocol = -SSLv3,-TLSv1,-TLSv1.1,-TLSv1.2\n");
}

static enum trib_status load_policy(struct trib_error *error)
{
    struct trib_buf text = {.len = 0};
    /* The library's own configuration first: read later, it would replace this one. */
    OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL);
    enum trib_status status = write_policy(&text);
    BIO *bio = status == TRIB_OK ? BIO_new_mem_buf(text.data, (int)text.len) : NULL;
    CONF *conf = bio ? NCONF_new(NULL) : NULL;
    if (status == TRIB_OK &&
        (!conf || NCONF_load_bio(conf, bio, NULL) <= 0 || CONF_modules_load(conf, "tributary", 0) <= 0)) {
        char reason[256];
        ERR_error_string_n(ERR_peek_last_error(), reason, sizeof reason);
        status = trib_fail(error, TRIB_INTERNAL, "cannot set the TLS 1.3 policy: %s", reason);
    }
    NCONF_free(conf);
    BIO_free(bio);
    trib_buf_clear(&text);
    ERR_clear_error();
    return status;
}

enum trib_status trib_net_tls_policy(struct trib_error *error)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool loaded;
    enum trib_status status = TRIB_OK;
    pthread_mutex_lock(&lock);
    if (!loaded) {
        status = load_policy(error);
        loaded = status == TRIB_OK;
    }
    pthread_mutex_unlock(&lock);
    return status;
}
