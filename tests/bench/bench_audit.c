/* What a record costs: threads that queue, commit and get their tickets back, as workers do.
 *
 *     bench_audit [DIRECTORY]
 *
 * Prints nanoseconds a record, wall and CPU, for batches of 1 and 8 and for one and two threads, and the
 * cost of a note in the in-flight table. Nothing is judged. */
#include "audit/audit.h"
#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { RECORDS = 200000, NOTES = 1000000 };

struct worker {
    pthread_t thread;
    struct audit_log *log;
    struct audit_port *port;
    int event;
    unsigned batch;
    unsigned written;
};

static _Thread_local struct worker *current;

static void on_wake(void *arg)
{
    const struct worker *w = arg;
    eventfd_write(w->event, 1);
}

static void on_written(struct audit_ticket *t, bool ok)
{
    (void)t;
    current->written += ok;
}

static void *work(void *arg)
{
    struct worker *w = current = arg;
    const struct audit_event ev = {
        .kind = AUDIT_REQUEST,
        .id = "01M7YV5TF2BNH4Y1SCER4B016C",
        .task = "widgets-42",
        .verdict = "allow",
        .method = SLICE("GET"),
        .url = SLICE("https://api.github.com/repos/acme/widgets/issues"),
        .protocol = "http/1.1",
        .status = 200,
        .sent = 210,
        .received = 1300,
        .ns = 412345,
        .upstream_address = "140.82.121.6",
        .upstream_port = 443,
        .upstream_protocol = "http/1.1",
        .upstream_tls = "TLSv1.3",
        .client_address = "127.0.0.1:51234",
    };
    struct audit_ticket tickets[64] = {{.written = on_written}};
    for (unsigned i = 0; i < w->batch; i++)
        tickets[i] = (struct audit_ticket){.written = on_written};
    for (unsigned queued = 0; queued < RECORDS; queued += w->batch) {
        for (unsigned i = 0; i < w->batch; i++) {
            if (audit_queue(w->port, &ev, &tickets[i]) < 0)
                abort();
        }
        audit_commit(w->port);
        while (w->written < queued + w->batch) {
            eventfd_t n;
            if (eventfd_read(w->event, &n) < 0)
                abort();
            audit_port_deliver(w->port);
        }
    }
    return NULL;
}

static double cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void run(int dir, unsigned threads, unsigned batch)
{
    const struct audit_options options = {.dir_fd = dir, .name = "bench.jsonl", .run = "bench"};
    struct audit_log *log;
    struct err e;
    struct worker workers[2] = {{0}};
    if (audit_open(&options, &log, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(2);
    }
    double cpu = cpu_ns();
    int64_t start = clock_mono_ns();
    for (unsigned i = 0; i < threads; i++) {
        struct worker *w = &workers[i];
        *w = (struct worker){.log = log, .batch = batch, .event = eventfd(0, EFD_CLOEXEC)};
        w->port = audit_port_new(log, on_wake, w);
        if (w->event < 0 || !w->port || pthread_create(&w->thread, NULL, work, w) != 0)
            abort();
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    double wall = (double)(clock_mono_ns() - start), records = (double)RECORDS * threads;
    printf("%u thread(s), batches of %u: %6.0f ns a record, %6.0f ns of CPU\n", threads, batch,
           wall / records, (cpu_ns() - cpu) / records);
    for (unsigned i = 0; i < threads; i++) {
        audit_port_free(workers[i].port);
        close(workers[i].event);
    }
    audit_close(log);
    unlinkat(dir, "bench.jsonl", 0);
}

static void notes(void)
{
    struct err e;
    int fd = inflight_create(4096, &e);
    struct inflight *table;
    if (fd < 0 || inflight_map(fd, &table, &e) < 0)
        abort();
    int64_t start = clock_mono_ns();
    for (unsigned i = 0; i < NOTES; i++) {
        struct inflight_slot *s =
            inflight_note(table, "01M7YV5TF2BNH4Y1SCER4B016C", "widgets-42", SLICE("GET"),
                          SLICE("https://api.github.com/repos/acme/widgets/issues"));
        if (!s)
            abort();
        inflight_clear(s);
    }
    printf("in flight, note and clear: %6.0f ns\n", (double)(clock_mono_ns() - start) / NOTES);
    inflight_free(table);
    close(fd);
}

int main(int argc, char **argv)
{
    char made[] = "/tmp/bench-audit-XXXXXX";
    const char *path = argc > 1 ? argv[1] : mkdtemp(made);
    int dir = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir < 0) {
        perror(argc > 1 ? argv[1] : "mkdtemp");
        return 2;
    }
    for (unsigned threads = 1; threads <= 2; threads++) {
        run(dir, threads, 1);
        run(dir, threads, 8);
    }
    notes();
    if (argc <= 1)
        rmdir(path);
    close(dir);
    return 0;
}
