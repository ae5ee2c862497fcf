/* Group commit: several workers, one chain; every record once, every ticket once, each worker's in order. */
#include "audit/record.h"
#include "audit_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WORKERS = 2, RECORDS = 25000, BATCH_MOST = 16 };

struct worker;

struct job {
    struct audit_ticket ticket;
    struct worker *worker;
    unsigned number;
};

struct worker {
    pthread_t thread;
    unsigned index;
    struct audit_log *log;
    struct audit_port *port;
    int event;
    unsigned queued, delivered, out_of_order, failed;
    struct job jobs[RECORDS];
};

static void on_wake(void *arg)
{
    const struct worker *w = arg;
    if (eventfd_write(w->event, 1) < 0)
        abort();
}

static void on_written(struct audit_ticket *t, bool ok)
{
    struct job *job = LIST_ENTRY(t, struct job, ticket);
    struct worker *w = job->worker;
    w->out_of_order += job->number != w->delivered;
    w->failed += !ok;
    w->delivered++;
}

static void queue_one(struct worker *w)
{
    char detail[32];
    const struct audit_event ev = {
        .kind = AUDIT_OPEN, .task = w->index ? "b" : "a", .detail = detail, .ns = -1};
    struct job *job = &w->jobs[w->queued];
    *job = (struct job){.ticket = {.written = on_written}, .worker = w, .number = w->queued};
    snprintf(detail, sizeof detail, "%u", w->queued);
    if (audit_queue(w->port, &ev, &job->ticket) < 0)
        abort();
    w->queued++;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    while (w->delivered < RECORDS) {
        unsigned batch = 1 + w->queued * 7 % BATCH_MOST;
        while (batch-- > 0 && w->queued < RECORDS)
            queue_one(w);
        audit_commit(w->port);
        eventfd_t n;
        /* half of the turns wait for the records, the other half goes on while they are written */
        if (w->delivered < w->queued && (w->queued == RECORDS || w->queued % 2)) {
            if (eventfd_read(w->event, &n) < 0)
                abort();
            audit_port_deliver(w->port);
        }
    }
    return NULL;
}

/* `detail` counts up within each task, `seq` over both. */
static void assert_complete(struct slice text)
{
    unsigned next[WORKERS] = {0};
    uint64_t seq = 0;
    struct slice line;
    while (slice_next(&text, '\n', &line) && line.len) {
        struct log_record r;
        uint64_t number;
        assert_int_equal(log_record_parse(line, &r), 0);
        assert_int_equal(r.seq, ++seq);
        if (slice_eq(r.kind, SLICE("open"))) {
            size_t i = slice_eq(r.task, SLICE("b"));
            assert_int_equal(slice_to_u64(r.detail, RECORDS, &number), 0);
            assert_int_equal(number, next[i]++);
        }
        log_record_clear(&r);
    }
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(next[i], RECORDS);
}

static void assert_whole(const struct audit_fixture *f)
{
    const char *problem = fixture_verify(f);
    if (problem)
        fail_msg("%s", problem);
}

static void run_workers(struct audit_log *log, struct worker *workers)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];
        w->index = i;
        w->log = log;
        w->event = eventfd(0, EFD_CLOEXEC);
        w->port = audit_port_new(log, on_wake, w);
        assert_true(w->event >= 0 && w->port);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (unsigned i = 0; i < 20; i++) {
        audit_tick(log);
        usleep(1000);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        audit_port_free(workers[i].port);
        close(workers[i].event);
    }
}

static void every_record_is_written_once_and_every_ticket_delivered_once(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    struct worker *workers = calloc(WORKERS, sizeof *workers);
    assert_non_null(workers);
    run_workers(log, workers);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(workers[i].delivered, RECORDS);
        assert_int_equal(workers[i].out_of_order, 0);
        assert_int_equal(workers[i].failed, 0);
    }
    uint64_t seq;
    char hash[65];
    audit_head(log, &seq, hash);
    assert_int_equal(seq, WORKERS * RECORDS);
    audit_close(log);
    free(workers);
    AUTO_BUF room;
    assert_complete(fixture_read(f, "audit.jsonl", &room));
    assert_whole(f);
}

static void rotation_beside_the_writers_loses_nothing(void **state)
{
    struct audit_fixture *f = *state;
    f->options.rotate = 1 << 20;
    f->options.keep = 5;
    struct audit_log *log = fixture_open(f);
    struct worker *workers = calloc(WORKERS, sizeof *workers);
    assert_non_null(workers);
    run_workers(log, workers);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(workers[i].delivered, RECORDS);
        assert_int_equal(workers[i].out_of_order + workers[i].failed, 0);
    }
    audit_close(log);
    free(workers);
    assert_whole(f);
}

/* ---- tickets of one thread ---- */

struct chatty {
    struct audit_ticket ticket;
    struct audit_port *port;
    unsigned written, more;
    struct chatty *forget;
};

static const struct audit_event event = {.kind = AUDIT_OPEN, .ns = -1};

static void on_chatty(struct audit_ticket *t, bool ok)
{
    struct chatty *c = LIST_ENTRY(t, struct chatty, ticket);
    c->written += ok;
    if (c->forget)
        audit_ticket_forget(&c->forget->ticket);
    if (c->more && c->more-- && audit_queue(c->port, &event, &c->ticket) < 0)
        abort();
    audit_commit(c->port);
}

static void count_wake(void *arg)
{
    ++*(unsigned *)arg;
}

static void a_ticket_may_queue_and_commit_and_forget_in_its_call(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    unsigned wakes = 0;
    struct audit_port *port = audit_port_new(log, count_wake, &wakes);
    struct chatty second = {.ticket = {.written = on_chatty}, .port = port};
    struct chatty first = {.ticket = {.written = on_chatty}, .port = port, .more = 9, .forget = &second};
    assert_int_equal(audit_queue(port, &event, &first.ticket), 0);
    assert_int_equal(audit_queue(port, &event, &second.ticket), 0);
    audit_commit(port);
    while (wakes) { /* more than one commit does at once: the port asks to be called again */
        wakes = 0;
        audit_port_deliver(port);
    }
    assert_int_equal(first.written, 10);
    assert_int_equal(second.written, 0);
    audit_ticket_forget(&first.ticket); /* harmless afterwards */
    struct audit_ticket unused = {0};
    audit_ticket_forget(&unused);
    audit_port_free(port);
    audit_close(log);
    AUTO_BUF room;
    assert_int_equal(fixture_lines(fixture_read(f, "audit.jsonl", &room)), 11);
}

static void a_port_that_goes_away_writes_what_it_has(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    struct audit_port *port = audit_port_new(log, count_wake, &(unsigned){0});
    struct chatty c = {.ticket = {.written = on_chatty}, .port = port};
    assert_int_equal(audit_queue(port, &event, &c.ticket), 0);
    audit_port_free(port);
    assert_int_equal(c.written, 0);
    audit_ticket_forget(&c.ticket);
    audit_close(log);
    AUTO_BUF room;
    assert_int_equal(fixture_lines(fixture_read(f, "audit.jsonl", &room)), 1);
}

static void a_queue_that_is_full_refuses_and_recovers(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    struct audit_port *port = audit_port_new(log, count_wake, &(unsigned){0});
    unsigned taken = 0;
    while (audit_queue(port, &event, NULL) == 0)
        taken++;
    assert_true(taken > 1000);
    audit_commit(port);
    assert_int_equal(audit_queue(port, &event, NULL), 0);
    audit_port_free(port);
    audit_close(log);
    AUTO_BUF room;
    assert_int_equal(fixture_lines(fixture_read(f, "audit.jsonl", &room)), taken + 1);
    assert_whole(f);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, audit_fixture_setup, audit_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_record_is_written_once_and_every_ticket_delivered_once),
        TEST(rotation_beside_the_writers_loses_nothing),
        TEST(a_ticket_may_queue_and_commit_and_forget_in_its_call),
        TEST(a_port_that_goes_away_writes_what_it_has),
        TEST(a_queue_that_is_full_refuses_and_recovers),
    };
    return cmocka_run_group_tests_name("audit_threads", tests, NULL, NULL);
}
