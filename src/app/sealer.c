#include "app/sealer.h"

#include "base/clock.h"
#include "tls/keeper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MS = 1000 };

struct sealer {
    pthread_mutex_t lock;
    int keeper; /* -1: gone, until there is a new one */
    uint32_t last_id;
};

int sealer_new(int keeper, struct sealer **ret, struct err *e)
{
    struct sealer *s = calloc(1, sizeof *s);
    if (!s) {
        close(keeper);
        return err_set(e, "no memory");
    }
    pthread_mutex_init(&s->lock, NULL);
    s->keeper = keeper;
    *ret = s;
    return 0;
}

void sealer_free(struct sealer *s)
{
    if (!s)
        return;
    fd_auto_close(&s->keeper);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void sealer_set_keeper(struct sealer *s, int keeper)
{
    pthread_mutex_lock(&s->lock);
    fd_auto_close(&s->keeper);
    s->keeper = keeper;
    pthread_mutex_unlock(&s->lock);
}

/* One message, if it comes in time. */
static ssize_t receive(int fd, uint8_t message[KEEPER_MESSAGE_BYTES], int64_t until)
{
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = (until - clock_mono_ns()) / 1000000;
        int ready = poll(&p, 1, left > 0 ? (int)left : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        return ready <= 0 ? -1 : recv(fd, message, KEEPER_MESSAGE_BYTES, MSG_DONTWAIT);
    }
}

/* An answer to an earlier question that came too late is passed over. */
static int ask(struct sealer *s, struct seal *claim)
{
    uint8_t message[KEEPER_MESSAGE_BYTES];
    struct keeper_reply reply;
    const int64_t until = clock_mono_ns() + ANSWER_MS * 1000000ll;
    s->last_id = s->last_id == UINT32_MAX ? 1 : s->last_id + 1;
    ssize_t n = keeper_encode_seal(s->last_id, claim, message);
    if (n < 0)
        return -1;
    if (send(s->keeper, message, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n) {
        if (errno != EAGAIN)
            fd_auto_close(&s->keeper);
        return -1;
    }
    do {
        n = receive(s->keeper, message, until);
        if (n <= 0 || keeper_decode_reply(slice_of((const char *)message, (size_t)n), &reply) < 0)
            return -1;
    } while (reply.id != s->last_id);
    return reply.status == KEEPER_OK ? keeper_decode_seal(reply.data, claim) : -1;
}

int sealer_ask(void *sealer, struct seal *claim)
{
    struct sealer *s = sealer;
    pthread_mutex_lock(&s->lock);
    int result = s->keeper >= 0 ? ask(s, claim) : -1;
    pthread_mutex_unlock(&s->lock);
    return result;
}
