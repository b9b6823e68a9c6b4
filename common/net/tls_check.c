/* The three TLS files, read and checked before gRPC sees them: gRPC itself would say no more than "handshake failed".
 */
#include "tls.h"

#include "base/file.h"
#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { PEM_FILE_MAX = 1 << 20, DATE_LEN = 32 };

void trib_net_pem_clear(struct trib_net_pem *pem)
{
    trib_buf_clear(&pem->ca);
    trib_buf_clear(&pem->cert);
    if (pem->key.data) {
        OPENSSL_cleanse(pem->key.data, pem->key.capacity);
    }
    trib_buf_clear(&pem->key);
}

/* Read a file and end it with a NUL, which gRPC wants. */
static enum trib_status read_text(const char *path, struct trib_buf *text, struct trib_error *error)
{
    TRIB_TRY(trib_file_read(path, PEM_FILE_MAX, text, error));
    if (text->len > 0 && memchr(text->data, '\0', text->len)) {
        return trib_fail(error, TRIB_CONFIG, "%s: not a PEM file (it holds binary data)", path);
    }
    if (trib_buf_add(text, "", 1) != TRIB_OK) {
        return trib_fail_no_memory(error);
    }
    return TRIB_OK;
}

static enum trib_status check_key_mode(const char *path, struct trib_error *error)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return trib_fail_errno(error, errno, "%s: cannot be examined", path);
    }
    if ((info.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        return trib_fail(error, TRIB_CONFIG, "%s: a private key that others can use (mode %04o); run: chmod 600 %s",
                         path, (unsigned)(info.st_mode & 07777), path);
    }
    return TRIB_OK;
}

static STACK_OF(X509) * free_certs(STACK_OF(X509) * certs)
{
    sk_X509_pop_free(certs, X509_free);
    return NULL;
}

/* All certificates of a PEM text, at least one. */
static enum trib_status parse_certs(const char *path, const struct trib_buf *text, STACK_OF(X509) * *certs,
                                    struct trib_error *error)
{
    BIO *bio = BIO_new_mem_buf(text->data, (int)text->len - 1);
    STACK_OF(X509) *found = sk_X509_new_null();
    X509 *cert = NULL;
    bool enough_memory = bio && found;
    while (enough_memory && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        enough_memory = sk_X509_push(found, cert) > 0;
        if (!enough_memory) {
            X509_free(cert);
        }
    }
    bool complete = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    BIO_free(bio);
    if (!enough_memory) {
        free_certs(found);
        return trib_fail_no_memory(error);
    }
    if (sk_X509_num(found) == 0 || !complete) {
        bool none = sk_X509_num(found) == 0 && complete;
        free_certs(found);
        return trib_fail(error, TRIB_CONFIG,
                         none ? "%s: no certificate in PEM form (a block BEGIN CERTIFICATE) found"
                              : "%s: damaged: a certificate in it cannot be decoded",
                         path);
    }
    *certs = found;
    return TRIB_OK;
}

static const char *format_date(const ASN1_TIME *time, char to[DATE_LEN])
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1 || strftime(to, DATE_LEN, "%Y-%m-%d %H:%M UTC", &parts) == 0) {
        return "an unreadable date";
    }
    return to;
}

static enum trib_status check_dates(const char *path, const X509 *cert, struct trib_error *error)
{
    char date[DATE_LEN];
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        return trib_fail(error, TRIB_CONFIG,
                         "%s: the certificate expired on %s; ask the operator of the CA for a new one", path,
                         format_date(X509_get0_notAfter(cert), date));
    }
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
        return trib_fail(error, TRIB_CONFIG,
                         "%s: the certificate is not yet valid, only from %s on; is this machine's clock right?", path,
                         format_date(X509_get0_notBefore(cert), date));
    }
    return TRIB_OK;
}

/* An encrypted key would make OpenSSL ask on the terminal. */
static int refuse_passphrase(char *buffer, int size, int writing, void *asked)
{
    (void)buffer;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static enum trib_status check_key(const struct trib_net_tls *tls, const struct trib_buf *text, const X509 *cert,
                                  struct trib_error *error)
{
    bool encrypted = false;
    BIO *bio = BIO_new_mem_buf(text->data, (int)text->len - 1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &encrypted) : NULL;
    enum trib_status status = TRIB_OK;
    if (encrypted) {
        status = trib_fail(error, TRIB_CONFIG, "%s: the private key is locked by a passphrase; it must be without one",
                           tls->key_path);
    } else if (!key) {
        status = trib_fail(error, TRIB_CONFIG, "%s: no private key in PEM form found", tls->key_path);
    } else if (X509_check_private_key(cert, key) != 1) {
        status = trib_fail(error, TRIB_CONFIG, "%s: this key does not belong to the certificate %s", tls->key_path,
                           tls->cert_path);
    }
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return status;
}

static enum trib_status verify_result(const struct trib_net_tls *tls, bool server, int code, struct trib_error *error)
{
    if (code == X509_V_ERR_INVALID_PURPOSE) {
        return trib_fail(error, TRIB_CONFIG, "%s: this certificate is not meant for a %s (see its extended key usage)",
                         tls->cert_path, server ? "server" : "client");
    }
    return trib_fail(error, TRIB_CONFIG, "%s: the certificate is not signed by the CA in %s (%s)", tls->cert_path,
                     tls->ca_path, X509_verify_cert_error_string(code));
}

/* Build the chain as the peer will: from the leaf, over what the file brings along, to the federation's CA. */
static enum trib_status verify_chain(const struct trib_net_tls *tls, bool server, STACK_OF(X509) * roots,
                                     STACK_OF(X509) * chain, struct trib_error *error)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    bool ready = store && context;
    for (int i = 0; ready && i < sk_X509_num(roots); i++) {
        ready = X509_STORE_add_cert(store, sk_X509_value(roots, i)) == 1;
    }
    ready = ready && X509_STORE_CTX_init(context, store, sk_X509_value(chain, 0), chain) == 1 &&
            X509_STORE_CTX_set_purpose(context, server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT) == 1;
    enum trib_status status = TRIB_OK;
    if (!ready) {
        status =
            trib_fail(error, TRIB_NO_MEMORY, "%s: OpenSSL cannot prepare the check of the certificate", tls->cert_path);
    } else if (X509_verify_cert(context) != 1) {
        status = verify_result(tls, server, X509_STORE_CTX_get_error(context), error);
    }
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    ERR_clear_error();
    return status;
}

static enum trib_status check_all(const struct trib_net_tls *tls, bool server, const struct trib_net_pem *pem,
                                  struct trib_error *error)
{
    STACK_OF(X509) *roots = NULL;
    STACK_OF(X509) *chain = NULL;
    enum trib_status status = parse_certs(tls->ca_path, &pem->ca, &roots, error);
    for (int i = 0; status == TRIB_OK && i < sk_X509_num(roots); i++) {
        status = check_dates(tls->ca_path, sk_X509_value(roots, i), error);
    }
    if (status == TRIB_OK) {
        status = parse_certs(tls->cert_path, &pem->cert, &chain, error);
    }
    for (int i = 0; status == TRIB_OK && i < sk_X509_num(chain); i++) {
        status = check_dates(tls->cert_path, sk_X509_value(chain, i), error);
    }
    if (status == TRIB_OK) {
        status = check_key(tls, &pem->key, sk_X509_value(chain, 0), error);
    }
    if (status == TRIB_OK) {
        status = check_key_mode(tls->key_path, error);
    }
    if (status == TRIB_OK) {
        status = verify_chain(tls, server, roots, chain, error);
    }
    free_certs(roots);
    free_certs(chain);
    return status;
}

enum trib_status trib_net_pem_load(const struct trib_net_tls *tls, bool server, struct trib_net_pem *pem,
                                   struct trib_error *error)
{
    struct trib_net_pem fresh = {.ca = {.len = 0}};
    enum trib_status status = read_text(tls->ca_path, &fresh.ca, error);
    if (status == TRIB_OK) {
        status = read_text(tls->cert_path, &fresh.cert, error);
    }
    if (status == TRIB_OK) {
        status = read_text(tls->key_path, &fresh.key, error);
    }
    if (status == TRIB_OK) {
        status = check_all(tls, server, &fresh, error);
    }
    if (status != TRIB_OK) {
        trib_net_pem_clear(&fresh);
        return trib_error_prefix(error, status, "tls");
    }
    *pem = fresh;
    return TRIB_OK;
}

enum trib_status trib_net_tls_check(const struct trib_net_tls *tls, bool server, struct trib_error *error)
{
    struct trib_net_pem pem;
    TRIB_TRY(trib_net_pem_load(tls, server, &pem, error));
    trib_net_pem_clear(&pem);
    return TRIB_OK;
}
