#include "proxy/client.h"

#include "proxy/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { ANSWERS_A_TURN = 32 };

struct client {
    struct list node; /* of worker->asking, until the answer or the end of the wait */
    struct loop_deadline late;
    void (*settled)(void *arg);
    void *arg;
    struct client_answer answer;
};

/* It is known now, or it will not be: a record that waited is made. */
static void settle(struct client *cl)
{
    list_remove(&cl->node);
    loop_deadline_clear(&cl->late);
    cl->settled(cl->arg);
}

static void on_late(struct loop_deadline *d)
{
    settle(CONTAINER_OF(d, struct client, late));
}

struct client *client_ask(struct worker *w, int sock, const struct fetch_address *local,
                          const struct fetch_address *remote, void (*settled)(void *arg), void *arg)
{
    struct client *cl = calloc(1, sizeof *cl);
    if (!cl)
        return NULL;
    cl->settled = settled;
    cl->arg = arg;
    cl->answer.id = ++w->asked;
    list_init(&cl->node);
    loop_deadline_init(&cl->late, w->loop, on_late);
    struct client_question q;
    memset(&q, 0, sizeof q); /* padding leaves the process too */
    q.id = cl->answer.id;
    q.local = *local;
    q.remote = *remote;
    if (send(sock, &q, sizeof q, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof q) {
        list_insert(&w->asking, &cl->node);
        loop_deadline_after(&cl->late, CLIENT_WAIT_NS);
    }
    return cl;
}

bool client_is_awaited(const struct client *cl)
{
    return cl && !list_empty(&cl->node);
}

void client_free(struct client *cl)
{
    if (!cl)
        return;
    list_remove(&cl->node);
    loop_deadline_clear(&cl->late);
    free(cl);
}

void client_note(const struct client *cl, struct audit_event *ev)
{
    const struct client_answer *a = cl ? &cl->answer : NULL;
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
