/* A connection as conn.c, server.c and client.c see it. */
#pragma once
#include "tls/conn.h"
#include "tls/internal.h"

#include <openssl/ssl.h>

DEFINE_AUTO_OSSL(SSL_CTX, SSL_CTX_free)

enum { FAILURE_TEXT_BYTES = 240 };

struct tls_conn {
    SSL *ssl;
    bool server;
    bool hello_seen;  /* server: a whole ClientHello has arrived */
    bool established; /* the handshake was completed; SSL_is_init_finished(3) forgets that at an error */
    bool drained;     /* the last read found nothing whole: only the descriptor can bring more */
    enum tls_failure failure;
    char failure_text[FAILURE_TEXT_BYTES];
    struct tls_accept want;    /* server */
    struct tls_client *client; /* client */
    size_t session_key_len;
    char session_key[]; /* client: host, NUL, port, task: host is also a C string for OpenSSL */
};

/* What both sides' contexts have in common: versions, modes, groups, ciphers. */
MUST_USE int tls_context_new(const SSL_METHOD *method, SSL_CTX **ret, struct err *e);
/* A connection with room for the key; the SSL knows it as its app data.  NULL without memory. */
MUST_USE struct tls_conn *tls_conn_new(SSL_CTX *ctx, int fd, size_t session_key_len);
/* The first failure is the cause: later ones are ignored. */
void tls_conn_fail(struct tls_conn *t, enum tls_failure failure, const char *fmt, ...) PRINTF(3, 4);
