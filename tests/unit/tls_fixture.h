/* What the tests of tls/ share: a CA, a leaf key, certificates good and bad, and handshakes over a
 * socketpair. */
#pragma once
#include "tls/ca.h"
#include "tls/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

/* Fails the test with the error's text. */
void must(int result, const struct err *e);

/* One process's worth: its CA has introduced the leaf key. */
struct tls_fixture {
    struct ca *ca;
    struct tls_key *key;
    struct tls_trust *trust; /* of this CA alone */
    struct tls_server *server;
    struct tls_client *client;
    int fds[2]; /* [0] the client's, [1] the server's; open_pair makes new ones */
};

void fixture_init(struct tls_fixture *f);
void fixture_free(struct tls_fixture *f);
void fixture_open_pair(struct tls_fixture *f);

/* A host certificate of the fixture's CA, as of the given time. */
struct tls_cert *fixture_cert(struct tls_fixture *f, const char *name, int64_t now);
int64_t fixture_now(void);

/* A certificate callback over a fixed certificate that counts its calls. */
struct cert_source {
    struct tls_cert *cert; /* NULL: there is none */
    int pending;           /* that many calls answer "not yet" first */
    int calls;
};
int cert_source_get(void *arg, struct tls_cert **ret);

struct tls_accept want_host(const char *host, const char *task, struct cert_source *source);
struct tls_peer peer_of(const char *host, const char *task);

/* Both sides over the fixture's new pair, until each has finished or failed. */
struct pair {
    struct tls_conn *client, *server;
    int client_result, server_result;
};
void pair_open(struct tls_fixture *f, struct pair *p, const struct tls_peer *peer,
               const struct tls_accept *want);
void pair_handshake(struct pair *p);
/* Sends a word each way and expects it. */
void pair_talk(struct pair *p);
void pair_close(struct pair *p);
