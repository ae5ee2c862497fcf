/* A whole data plane in this process: a proxy with two workers, a keeper in a thread, an audit log in a
 * folder of the test's own, and an origin (proxy_origin.h), plain and with TLS.
 *
 * The task `t` (token `tok`) may read http://api.test, https://api.test and names below it, and POST to the
 * first up to 1 KiB. */
#pragma once
#include "audit_fixture.h"
#include "proxy/proxy.h"
#include "proxy_origin.h"
#include "tls_fixture.h"

#include <sys/resource.h>

enum { WORKERS = 2, ANSWER_BYTES = 4 << 20 };

#define TOKEN "Host: api.test\r\nProxy-Authorization: Basic dDp0b2s=\r\n" /* t:tok */
#define CONNECT(name)                                                                                        \
    "CONNECT " name ":443 HTTP/1.1\r\nHost: " name ":443\r\nProxy-Authorization: Basic dDp0b2s=\r\n\r\n"

/* What a test wants otherwise.  Unset parts are as above. */
struct world_plan {
    const char *policy;
    unsigned slots;                           /* of the in-flight table */
    void (*settle)(struct proxy_settings *s); /* now and at every reload */
};

struct world {
    const struct world_plan *plan;
    struct audit_fixture *files;
    struct tls_fixture tls;
    struct tls_cert *cert; /* of the origin that speaks TLS */
    uint64_t generation;
    struct audit_log *log;
    struct inflight *inflight;
    int inflight_fd, listener, keeper_ends[WORKERS];
    uint16_t port;
    struct proxy *proxy;
    pthread_t keeper;
    bool keeper_dead;
    atomic_uint drained;
    struct buf file;
    struct rlimit whole_files;
};

extern struct world world;

/* For cmocka_unit_test_setup_teardown; with a plan, for cmocka_unit_test_prestate_setup_teardown.  The end
 * fails where a slot of the in-flight table is still taken or the log is not whole, whatever the test did. */
int proxy_world_start(void **state);
int proxy_world_stop(void **state);

/* SIGHUP: a policy for the task, or NULL: no task any longer.  The workers take it soon. */
void reload(const char *text);
void keeper_dies(void);
void another_keeper(void);

/* --- a client --- */
int dial(void);
int dial_with(int fd); /* a socket made before; -1: cannot */
void send_text(int fd, const char *text);
/* One request with the task's token. */
void get(int fd, const char *method, const char *path);
/* One read, at most 4 KiB; false at the end. */
bool read_some(int fd, struct buf *in);
/* Reads until `end` is there; the text so far. */
const char *read_until(int fd, struct buf *in, const char *end);
/* All until the end: 0 where that was clean, else errno. */
int read_to_end(int fd, struct buf *in);

/* CONNECT and a handshake over a connection; NULL where the CONNECT is refused. */
struct tls_conn *tunnel(int fd, const char *name);
void tls_get(struct tls_conn *tls, const char *name, const char *path);
const char *tls_read_until(struct tls_conn *tls, struct buf *in, const char *end);
/* 0 where it ended cleanly, else an enum tls_result. */
ssize_t tls_read_to_end(struct tls_conn *tls, struct buf *in);

bool holds(struct slice text, const char *words);

/* --- the log --- */
struct slice log_now(void);
void expect_recorded(const char *words);
/* Until the record is there: for those that follow the end of a connection. */
void await_record(const char *words);
/* From now on no file of this process grows; undone at the end of the test. */
void fill_the_disk(void);
void empty_the_disk(void);
