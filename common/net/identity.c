/* An identity is who a certificate says its holder is: URI SAN "tributary://node/ID", else the first DNS SAN, else the
 * CN. Any thread.
 *
 * Identities become log fields, map keys and file names: only printable ASCII without blanks, slashes and quotes
 * passes. */
#include "tls.h"

#include "base/file.h"
#include "base/str.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string.h>

static const char uri_prefix[] = "tributary://node/";

enum { CERT_FILE_MAX = 1 << 20 };

static enum trib_status accept(const char *text, size_t len, const char *origin, char *identity, size_t size,
                               struct trib_error *error)
{
    if (len == 0) {
        return trib_fail(error, TRIB_INVALID, "%s: the certificate states an empty identity", origin);
    }
    if (len >= size) {
        return trib_fail(error, TRIB_LIMIT,
                         "%s: the certificate states an identity of %zu bytes; at most %zu are allowed", origin, len,
                         size - 1);
    }
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c <= ' ' || c > '~' || strchr("/\\\"'", c)) {
            return trib_fail(error, TRIB_INVALID,
                             "%s: the certificate's identity has a character (code %d) outside of letters, digits and "
                             "marks such as . _ -",
                             origin, (int)(unsigned char)c);
        }
    }
    if (text[0] == '.') {
        return trib_fail(error, TRIB_INVALID, "%s: the certificate's identity must not begin with a dot", origin);
    }
    memcpy(identity, text, len);
    identity[len] = '\0';
    return TRIB_OK;
}

/* The first name of a kind, and of a prefix; NULL when there is none. */
static const ASN1_IA5STRING *find_name(const GENERAL_NAMES *names, int kind, const char *prefix)
{
    size_t prefix_len = strlen(prefix);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type = 0;
        const ASN1_IA5STRING *text = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type == kind && (size_t)ASN1_STRING_length(text) >= prefix_len &&
            memcmp(ASN1_STRING_get0_data(text), prefix, prefix_len) == 0) {
            return text;
        }
    }
    return NULL;
}

static enum trib_status of_common_name(const X509 *cert, const char *origin, char *identity, size_t size,
                                       struct trib_error *error)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *text = NULL;
    int len = -1;
    if (at >= 0) {
        len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    }
    if (len < 0) {
        return trib_fail(error, TRIB_INVALID,
                         "%s: the certificate names nobody: no URI SAN %sID, no DNS SAN, no common name", origin,
                         uri_prefix);
    }
    enum trib_status status = accept((const char *)text, (size_t)len, origin, identity, size, error);
    OPENSSL_free(text);
    return status;
}

static enum trib_status identity_of_cert(const X509 *cert, const char *origin, char *identity, size_t size,
                                         struct trib_error *error)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const ASN1_IA5STRING *uri = names ? find_name(names, GEN_URI, uri_prefix) : NULL;
    const ASN1_IA5STRING *dns = names ? find_name(names, GEN_DNS, "") : NULL;
    enum trib_status status = TRIB_OK;
    if (uri) {
        size_t skip = sizeof uri_prefix - 1;
        status = accept((const char *)ASN1_STRING_get0_data(uri) + skip, (size_t)ASN1_STRING_length(uri) - skip, origin,
                        identity, size, error);
    } else if (dns) {
        status = accept((const char *)ASN1_STRING_get0_data(dns), (size_t)ASN1_STRING_length(dns), origin, identity,
                        size, error);
    } else {
        status = of_common_name(cert, origin, identity, size, error);
    }
    GENERAL_NAMES_free(names);
    return status;
}

enum trib_status trib_net_identity_of_pem(const char *pem, size_t len, const char *origin, char *identity, size_t size,
                                          struct trib_error *error)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    enum trib_status status = TRIB_OK;
    if (cert) {
        status = identity_of_cert(cert, origin, identity, size, error);
    } else {
        status = trib_fail(error, TRIB_INVALID, "%s: not a PEM certificate", origin);
    }
    X509_free(cert);
    BIO_free(bio);
    ERR_clear_error();
    return status;
}

enum trib_status trib_net_identity_of(const char *cert_path, char *identity, size_t size, struct trib_error *error)
{
    struct trib_buf content = {.len = 0};
    TRIB_TRY(trib_file_read(cert_path, CERT_FILE_MAX, &content, error));
    enum trib_status status =
        trib_net_identity_of_pem((const char *)content.data, content.len, cert_path, identity, size, error);
    trib_buf_clear(&content);
    return status;
}
