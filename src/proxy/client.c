#include "proxy/client.h"

#include "proxy/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { ANSWERS_A_TURN = 32 };

/* It is known now, or it will not be: a record that waited is made. */
static void settle(struct client *cl)
{
    struct conn *c = cl->conn;
    list_remove(&cl->node);
    loop_deadline_clear(&cl->late);
    if (c->exchange)
        exchange_client_settled(c->exchange);
    else if (c->state == CONN_SNIFF && c->captured_ends)
        conn_pump(c);
}

static void on_late(struct loop_deadline *d)
{
    settle(CONTAINER_OF(d, struct client, late));
}

void client_ask(struct conn *c, int sock, const struct fetch_address *remote)
{
    struct worker *w = c->worker;
    struct client *cl = calloc(1, sizeof *cl);
    if (!cl)
        return;
    cl->conn = c;
    cl->answer.id = ++w->asked;
    list_init(&cl->node);
    loop_deadline_init(&cl->late, w->loop, on_late);
    c->client = cl;
    struct client_question q;
    memset(&q, 0, sizeof q); /* padding leaves the process too */
    q.id = cl->answer.id;
    q.local = c->peer;
    q.remote = *remote;
    if (send(sock, &q, sizeof q, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)sizeof q)
        return;
    list_insert(&w->asking, &cl->node);
    loop_deadline_after(&cl->late, CLIENT_WAIT_NS);
}

bool client_is_awaited(const struct conn *c)
{
    return c->client && !list_empty(&c->client->node);
}

void client_free(struct client *cl)
{
    if (!cl)
        return;
    list_remove(&cl->node);
    loop_deadline_clear(&cl->late);
    free(cl);
}

void client_note(const struct conn *c, struct audit_event *ev)
{
    const struct client_answer *a = c->client ? &c->client->answer : NULL;
    if (!a || a->pid <= 0)
        return;
    ev->client_pid = a->pid;
    ev->client_exe = a->exe[0] ? a->exe : NULL;
    ev->client_args = a->args_len ? slice_of(a->args, a->args_len) : slice_of(NULL, 0);
}

static void take(struct worker *w, struct client_answer *a)
{
    a->exe[sizeof a->exe - 1] = '\0';
    if (a->args_len > sizeof a->args)
        a->args_len = sizeof a->args;
    LIST_FOREACH(it, &w->asking)
    {
        struct client *cl = LIST_ENTRY(it, struct client, node);
        if (cl->answer.id != a->id)
            continue;
        cl->answer = *a;
        settle(cl);
        return;
    }
}

bool client_take_answers(struct worker *w, int sock)
{
    for (unsigned i = 0; i < ANSWERS_A_TURN; i++) {
        struct client_answer a;
        ssize_t n = recv(sock, &a, sizeof a, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n != (ssize_t)sizeof a)
            return false;
        take(w, &a);
    }
    return true;
}
