/* One TLS connection over a loopback TCP socket. */
#include "raw_tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: raw TLS: %s\n", __FILE__, __LINE__, #condition);                                   \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct sender {
    int listener;
    uint64_t bytes;
    SSL_CTX *context;
};

static void *send_all(void *argument)
{
    struct sender *sender = argument;
    static uint8_t buffer[1 << 20];
    int fd = accept(sender->listener, NULL, NULL);
    SSL *ssl = SSL_new(sender->context);
    NEED(fd >= 0 && ssl && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1);
    for (uint64_t left = sender->bytes; left > 0;) {
        int n = left < sizeof buffer ? (int)left : (int)sizeof buffer;
        NEED(SSL_write(ssl, buffer, n) == n);
        left -= (uint64_t)n;
    }
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
    return NULL;
}

static int listen_loopback(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t len = sizeof *address;
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    NEED(fd >= 0 && bind(fd, (struct sockaddr *)address, sizeof *address) == 0 && listen(fd, 1) == 0);
    NEED(getsockname(fd, (struct sockaddr *)address, &len) == 0);
    return fd;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double raw_tls_throughput(const char *dir, uint64_t bytes)
{
    char cert[512], key[512];
    static uint8_t buffer[1 << 20];
    struct sockaddr_in address;
    pthread_t thread;
    snprintf(cert, sizeof cert, "%s/server.crt", dir);
    snprintf(key, sizeof key, "%s/server.key", dir);
    struct sender sender = {.listener = listen_loopback(&address), .bytes = bytes};
    sender.context = SSL_CTX_new(TLS_server_method());
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    NEED(sender.context && client && SSL_CTX_use_certificate_file(sender.context, cert, SSL_FILETYPE_PEM) == 1 &&
         SSL_CTX_use_PrivateKey_file(sender.context, key, SSL_FILETYPE_PEM) == 1);
    NEED(pthread_create(&thread, NULL, send_all, &sender) == 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    NEED(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    SSL *ssl = SSL_new(client);
    NEED(ssl && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1);
    double begin = now_s();
    uint64_t received = 0;
    int n;
    while (received < bytes && (n = SSL_read(ssl, buffer, sizeof buffer)) > 0) {
        received += (uint64_t)n;
    }
    double seconds = now_s() - begin;
    NEED(received == bytes);
    pthread_join(thread, NULL);
    SSL_free(ssl);
    SSL_CTX_free(client);
    SSL_CTX_free(sender.context);
    close(fd);
    close(sender.listener);
    return (double)bytes / seconds;
}
