/* Certificates for tests, made on the spot through OpenSSL: a CA, what it signs, and the wrong kinds (expired, not yet
 * valid, of another CA). Everything is written as PEM below a temporary directory. Any failure aborts the test program.
 */
#ifndef TEST_CERTS_H
#define TEST_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEST_CERTS_NEED(condition)                                                                                     \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: cannot make test certificates: %s\n", __FILE__, __LINE__, #condition);             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct test_ca {
    EVP_PKEY *key;
    X509 *cert;
};

struct test_cert {
    const char *common_name;    /* NULL: none */
    const char *alternatives;   /* as in openssl.cnf: "URI:tributary://node/a,DNS:a.example,IP:127.0.0.1"; NULL: none */
    const char *extended_usage; /* "serverAuth", "clientAuth"; NULL: unrestricted */
    long from_s;                /* validity, in seconds from now; both 0: an hour ago until a day ahead */
    long until_s;
    bool is_ca;
};

static inline const char *test_certs_path(const char *dir, const char *name, char *to, size_t size)
{
    int len = snprintf(to, size, "%s/%s", dir, name);
    TEST_CERTS_NEED(len > 0 && (size_t)len < size);
    return to;
}

/* A fresh directory; `to` holds at least 64 bytes. */
static inline const char *test_certs_dir(char *to, size_t size)
{
    const char *base = getenv("TMPDIR");
    int len = snprintf(to, size, "%s/trib-certs-XXXXXX", base ? base : "/tmp");
    TEST_CERTS_NEED(len > 0 && (size_t)len < size && mkdtemp(to));
    return to;
}

/* Remove the directory and the files in it. */
static inline void test_certs_remove(const char *dir)
{
    char path[512];
    DIR *listing = opendir(dir);
    struct dirent *entry = NULL;
    while (listing && (entry = readdir(listing))) {
        if (entry->d_name[0] != '.') {
            unlink(test_certs_path(dir, entry->d_name, path, sizeof path));
        }
    }
    if (listing) {
        closedir(listing);
    }
    rmdir(dir);
}

static inline FILE *test_certs_open(const char *dir, const char *name, const char *suffix, mode_t mode)
{
    char file[512];
    char path[1024];
    snprintf(file, sizeof file, "%s%s", name, suffix);
    int fd = open(test_certs_path(dir, file, path, sizeof path), O_WRONLY | O_CREAT | O_TRUNC, mode);
    TEST_CERTS_NEED(fd >= 0 && fchmod(fd, mode) == 0);
    FILE *out = fdopen(fd, "w");
    TEST_CERTS_NEED(out);
    return out;
}

static inline void test_certs_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    TEST_CERTS_NEED(extension && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static inline X509 *test_certs_sign(const struct test_ca *ca, EVP_PKEY *key, const struct test_cert *what)
{
    static long serial = 1;
    X509 *cert = X509_new();
    TEST_CERTS_NEED(cert);
    bool usual = what->from_s == 0 && what->until_s == 0;
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), usual ? -3600 : what->from_s);
    X509_gmtime_adj(X509_getm_notAfter(cert), usual ? 86400 : what->until_s);
    X509_set_pubkey(cert, key);
    if (what->common_name) {
        X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)what->common_name, -1, -1, 0);
    }
    X509 *issuer = ca ? ca->cert : cert;
    X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    test_certs_extension(cert, issuer, NID_basic_constraints, what->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (what->alternatives) {
        test_certs_extension(cert, issuer, NID_subject_alt_name, what->alternatives);
    }
    if (what->extended_usage) {
        test_certs_extension(cert, issuer, NID_ext_key_usage, what->extended_usage);
    }
    TEST_CERTS_NEED(X509_sign(cert, ca ? ca->key : key, EVP_sha256()) > 0);
    return cert;
}

static inline void test_certs_write_key(const char *dir, const char *name, EVP_PKEY *key)
{
    FILE *out = test_certs_open(dir, name, ".key", 0600);
    TEST_CERTS_NEED(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(out);
}

static inline void test_certs_write_cert(const char *dir, const char *name, X509 *cert)
{
    FILE *out = test_certs_open(dir, name, ".crt", 0644);
    TEST_CERTS_NEED(PEM_write_X509(out, cert) == 1);
    fclose(out);
}

/* A self-signed CA: DIR/NAME.crt. `validity` may be NULL, else only its times are used. */
static inline struct test_ca test_certs_ca(const char *dir, const char *name, const struct test_cert *validity)
{
    struct test_cert what = {.common_name = name, .is_ca = true};
    struct test_ca ca = {.key = EVP_EC_gen("P-256"), .cert = NULL};
    TEST_CERTS_NEED(ca.key);
    if (validity) {
        what.from_s = validity->from_s;
        what.until_s = validity->until_s;
    }
    ca.cert = test_certs_sign(NULL, ca.key, &what);
    test_certs_write_cert(dir, name, ca.cert);
    return ca;
}

static inline void test_certs_ca_free(struct test_ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->cert);
    memset(ca, 0, sizeof *ca);
}

/* A certificate of the CA and its key: DIR/NAME.crt and DIR/NAME.key. */
static inline void test_certs_issue(const struct test_ca *ca, const char *dir, const char *name,
                                    const struct test_cert *what)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    TEST_CERTS_NEED(key);
    X509 *cert = test_certs_sign(ca, key, what);
    test_certs_write_cert(dir, name, cert);
    test_certs_write_key(dir, name, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* Any bytes as a file of the directory. */
static inline void test_certs_write_text(const char *dir, const char *name, mode_t mode, const char *text)
{
    FILE *out = test_certs_open(dir, name, "", mode);
    TEST_CERTS_NEED(fputs(text, out) >= 0);
    fclose(out);
}

#endif
