/* A TLS connection over a non-blocking descriptor, either side (OpenSSL 3).
 *
 * The only folder that includes openssl/ssl.h.  TLS 1.2 and 1.3 (RFC 5246, RFC 8446); ALPN http/1.1
 * (RFC 7301); no renegotiation, compression or early data.
 *
 * Nothing here blocks, waits or logs; the caller owns descriptor and watcher, and the process ignores
 * SIGPIPE.  Servers, clients and their connections belong to one worker's thread; keys, certificates and
 * trust are shared by all.
 */
#pragma once
#include "base/err.h"
#include "tls/cert.h"

#include <sys/types.h>

struct tls_conn;

/* Negative results of the calls below. */
enum tls_result {
    TLS_WANT_READ = -1,  /* call again when the descriptor is readable */
    TLS_WANT_WRITE = -2, /* … writable */
    TLS_WANT_CERT = -3,  /* the certificate is being made: call tls_handshake again when it is there */
    TLS_CUT = -4,        /* end of stream without close_notify: not a clean end; no further use either */
    TLS_FAILED = -5,     /* tls_failure says why; the connection is of no further use */
};

enum tls_failure {
    TLS_FAIL_NONE,
    TLS_FAIL_NOT_TLS,  /* server: the first bytes are not a ClientHello */
    TLS_FAIL_SNI,      /* server: another name than expected, or none; alert unrecognized_name was sent */
    TLS_FAIL_REJECTED, /* server: the client's alert says that it does not accept our certificate; some
                        * clients say so only after the handshake, to tls_read */
    TLS_FAIL_NO_CERT,  /* server: the certificate callback failed */
    TLS_FAIL_VERIFY,   /* client: the certificate is not acceptable */
    TLS_FAIL_PROTOCOL, /* anything else: version, cipher, broken records */
    TLS_FAIL_IO,       /* cut, reset, and so on */
};

/* --- server side: towards the agent --- */

/* One a worker: one SSL_CTX, the process's leaf key, session tickets with keys of its own. */
struct tls_server;
MUST_USE int tls_server_new(struct tls_key *leaf_key, struct tls_server **ret, struct err *e);
void tls_server_free(struct tls_server *s);
DEFINE_AUTO(tls_server)

/* What one intercepted connection must be. */
struct tls_accept {
    struct slice host; /* the CONNECT name, canonical: SNI must equal it (ASCII case-insensitively) */
    bool is_address;   /* host is an IP literal: there must be no SNI */
    struct slice task; /* resumption is bound to (task, host): SSL_set_session_id_context */
    /* Called with the name when a certificate is needed; idempotent, since it is called again after
     * TLS_WANT_CERT.  0: *ret_cert (a reference that the callee keeps), 1: not yet, -1: there is none. */
    int (*certificate)(void *arg, struct tls_cert **ret_cert);
    void *arg;
};
/* `want` is copied; its slices must live until the handshake is done.  The server outlives the connection.
 * NULL without memory. */
MUST_USE struct tls_conn *tls_accept(struct tls_server *s, int fd, const struct tls_accept *want);

/* --- client side: towards the origin --- */

/* Trusted roots: parsed once, shared by threads, reference-counted. */
struct tls_trust;
MUST_USE int tls_trust_new(struct slice system_pem, struct slice extra_pem, struct tls_trust **ret,
                           struct err *e);
/* The same, but the system's roots, which are 15 ms of work, are read by tls_client_ready: for a proxy that
 * somebody waits for.  Their errors come to light only there. */
MUST_USE int tls_trust_later(struct slice system_pem, struct slice extra_pem, struct tls_trust **ret,
                             struct err *e);
struct tls_trust *tls_trust_ref(struct tls_trust *t);
void tls_trust_free(struct tls_trust *t);
DEFINE_AUTO(tls_trust)

/* One a worker and trust: an SSL_CTX and a bounded cache of sessions by (task, host, port). */
struct tls_client;
MUST_USE int tls_client_new(struct tls_trust *trust, struct tls_client **ret, struct err *e);
/* Before the first tls_connect: all roots are read now. */
MUST_USE int tls_client_ready(struct tls_client *c, struct err *e);
void tls_client_free(struct tls_client *c);
DEFINE_AUTO(tls_client)

/* Verification is always on: chain to `trust`, name or address equal to the host (RFC 9525),
 * purpose serverAuth.  SNI is sent for names only (RFC 6066 3). */
struct tls_peer {
    struct slice host; /* canonical name or address text; copied */
    bool is_address;
    uint16_t port;
    struct slice task; /* sessions are never shared by tasks; copied */
};
/* The client outlives the connection.  NULL without memory, or where the host is not canonical (name.h). */
MUST_USE struct tls_conn *tls_connect(struct tls_client *c, int fd, const struct tls_peer *peer);

/* --- both --- */
void tls_conn_free(struct tls_conn *t); /* does not close the descriptor */
DEFINE_AUTO(tls_conn)

/* 0 when the handshake is complete, else an enum tls_result. */
MUST_USE int tls_handshake(struct tls_conn *t);
/* Bytes (> 0), 0 for a clean end (close_notify), else an enum tls_result. */
MUST_USE ssize_t tls_read(struct tls_conn *t, void *to, size_t len);
/* Bytes taken (may be fewer than len), else an enum tls_result.  After TLS_WANT_* the same bytes, or
 * more that begin with them, are offered again; the buffer may have moved. */
MUST_USE ssize_t tls_write(struct tls_conn *t, const void *from, size_t len);
/* Whether tls_read may yield bytes although the descriptor is not readable: a read takes what the socket has,
 * and that may be several records.  So whoever stops reading for a while (backpressure) asks before waiting
 * for the descriptor.  False once tls_read has said TLS_WANT_READ: no loop over this can spin. */
bool tls_has_pending(const struct tls_conn *t);
/* Sends close_notify once, unless the connection has failed, as far as that goes without waiting. */
void tls_close_notify(struct tls_conn *t);

enum tls_failure tls_failure(const struct tls_conn *t);
/* A sentence for records: "certificate has expired (CN=…)"; untrusted text. */
const char *tls_failure_text(const struct tls_conn *t);
const char *tls_version_name(const struct tls_conn *t); /* "TLSv1.3" */
bool tls_resumed(const struct tls_conn *t);
