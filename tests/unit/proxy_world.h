/* A whole data plane in this process: a proxy with two workers, a keeper in a thread, an audit log in a
 * folder of the test's own, and an origin that does as the path of a request says (proxy_world.c has the
 * table).
 *
 * The task `t` (token `tok`) may read http://api.test, and POST there up to 1 KiB. */
#pragma once
#include "audit_fixture.h"
#include "proxy/proxy.h"
#include "tls_fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum { WORKERS = 2, ORIGIN_CONNS = 64, ANSWER_BYTES = 4 << 20, HALF = 40000 };

#define TOKEN "Host: api.test\r\nProxy-Authorization: Basic dDp0b2s=\r\n" /* t:tok */
#define CONNECT(name)                                                                                        \
    "CONNECT " name ":443 HTTP/1.1\r\nHost: " name ":443\r\nProxy-Authorization: Basic dDp0b2s=\r\n\r\n"

/* Plain HTTP, a thread a connection. */
struct origin {
    int fd;
    uint16_t port;
    pthread_t acceptor;
    atomic_uint conns, requests;
    int fds[ORIGIN_CONNS];
    pthread_t threads[ORIGIN_CONNS];
    sem_t go;              /* what /hold waits for */
    atomic_int last_errno; /* how the last connection ended: 0 cleanly */
    struct buf seen;       /* of the last connection */
};

extern struct origin origin;

struct world {
    struct audit_fixture *files;
    struct tls_fixture tls;
    struct policy *policy;
    struct proxy_snapshot *snapshot;
    struct audit_log *log;
    struct inflight *inflight;
    int inflight_fd, listener, keeper_ends[WORKERS];
    uint16_t port;
    struct proxy *proxy;
    pthread_t keeper;
    atomic_uint drained;
    struct buf file;
    struct rlimit whole_files;
};

extern struct world world;

/* For cmocka_unit_test_setup_teardown.  The end fails where a slot of the in-flight table is still taken or
 * the log is not whole, whatever the test did. */
int proxy_world_start(void **state);
int proxy_world_stop(void **state);

/* --- a client --- */
int dial(void);
void say(int fd, struct slice s);
void send_text(int fd, const char *text);
/* One request with the task's token. */
void get(int fd, const char *method, const char *path);
/* Reads until `end` is there; the text so far. */
const char *read_until(int fd, struct buf *in, const char *end);
/* All until the end: 0 where that was clean, else errno. */
int read_to_end(int fd, struct buf *in);

bool holds(struct slice text, const char *words);
void pause_ms(long ms);

/* --- the log --- */
struct slice log_now(void);
void expect_recorded(const char *words);
/* Until the record is there: for those that follow the end of a connection. */
void await_record(const char *words);
/* From now on no file of this process grows; undone at the end of the test. */
void fill_the_disk(void);
