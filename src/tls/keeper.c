/* The keeper's service loop: keeper_serve of tls/keeper.h.
 *
 * poll(2) and no event loop of a library: what this process maps is what could be attacked in it.
 */
#include "tls/keeper.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { SEALS_PER_SECOND = 4, LEAF_BYTES = 128, BURST_SECONDS = 10, DATA_BYTES = KEEPER_MESSAGE_BYTES - 8 };

static const int64_t second_ns = 1000000000;

/* A token bucket that counts in nanoseconds: a signature costs 1/per_second of time gone by. */
struct bucket {
    int64_t cost; /* 0: no limit */
    int64_t full;
    int64_t level;
    int64_t then;
};

struct peer {
    int fd;          /* -1 once the other side has closed */
    size_t leaf_len; /* 0 before HELLO */
    char leaf[LEAF_BYTES];
    size_t reply_len; /* a reply that the socket has not taken yet; nothing is read until it has */
    uint8_t reply[KEEPER_MESSAGE_BYTES];
};

struct keeper {
    struct ca *ca;
    struct bucket bucket, seals;
    uint8_t seal_seed[ED25519_KEY_BYTES];
    struct peer *peers;
    struct pollfd *polls;
    size_t count;
    struct buf data; /* of the reply in the making */
};

static void bucket_init(struct bucket *b, unsigned per_second)
{
    b->cost = per_second ? second_ns / per_second : 0;
    b->full = b->level = BURST_SECONDS * second_ns;
    b->then = clock_mono_ns();
}

static bool bucket_take(struct bucket *b)
{
    int64_t now = clock_mono_ns(), gone = now - b->then;
    b->then = now;
    b->level = gone < b->full - b->level ? b->level + gone : b->full;
    if (b->level < b->cost)
        return false;
    b->level -= b->cost;
    return true;
}

/* A socket has one key for its life: a proxy that was taken over gets no certificates for another's. */
static enum keeper_status on_hello(struct keeper *k, struct peer *p, struct slice leaf)
{
    if (p->leaf_len)
        return slice_eq(slice_of(p->leaf, p->leaf_len), leaf) ? KEEPER_OK : KEEPER_BAD_REQUEST;
    if (leaf.len > sizeof p->leaf || ca_set_leaf(k->ca, leaf, NULL) < 0)
        return KEEPER_BAD_REQUEST;
    memcpy(p->leaf, leaf.ptr, leaf.len);
    p->leaf_len = leaf.len;
    return KEEPER_OK;
}

static enum keeper_status on_sign(struct keeper *k, struct peer *p, struct slice name)
{
    if (!p->leaf_len || !ca_can_mint(name))
        return KEEPER_BAD_REQUEST;
    if (!bucket_take(&k->bucket))
        return KEEPER_RATE;
    if (ca_set_leaf(k->ca, slice_of(p->leaf, p->leaf_len), NULL) < 0 ||
        ca_mint(k->ca, name, clock_wall_ms() / 1000, &k->data, NULL) < 0)
        return KEEPER_FAILED;
    return KEEPER_OK;
}

/* The time is ours: whoever asks cannot date a seal back. */
static enum keeper_status on_seal(struct keeper *k, struct slice data)
{
    struct seal s;
    uint8_t answer[KEEPER_SEALED_BYTES];
    if (keeper_decode_claim(data, &s) < 0)
        return KEEPER_BAD_REQUEST;
    if (!bucket_take(&k->seals))
        return KEEPER_RATE;
    s.time_ms = clock_wall_ms();
    if (seal_sign(k->seal_seed, &s) < 0)
        return KEEPER_FAILED;
    keeper_encode_sealed(&s, answer);
    return buf_append(&k->data, slice_of((const char *)answer, sizeof answer)) < 0 ? KEEPER_FAILED : KEEPER_OK;
}

static enum keeper_status judge(struct keeper *k, struct peer *p, const struct keeper_request *request)
{
    switch (request->op) {
    case KEEPER_HELLO:
        return on_hello(k, p, request->data);
    case KEEPER_SIGN:
        return on_sign(k, p, request->data);
    case KEEPER_CA:
        return ca_cert_pem(k->ca, &k->data, NULL) == 0 ? KEEPER_OK : KEEPER_FAILED;
    case KEEPER_SEAL:
        return on_seal(k, request->data);
    }
    return KEEPER_BAD_REQUEST;
}

static void answer(struct keeper *k, struct peer *p, struct slice message)
{
    struct keeper_request request;
    struct keeper_reply reply = {.status = KEEPER_BAD_REQUEST};
    buf_clear(&k->data);
    if (keeper_decode_request(message, &request) == 0) {
        reply.id = request.id;
        reply.status = judge(k, p, &request);
    }
    if (reply.status == KEEPER_OK)
        reply.data = buf_slice(&k->data);
    ssize_t len = keeper_encode_reply(&reply, p->reply);
    p->reply_len = len > 0 ? (size_t)len : 0;
}

static void forget(struct peer *p)
{
    p->fd = -1;
    p->reply_len = 0;
}

static void send_reply(struct peer *p)
{
    ssize_t n = send(p->fd, p->reply, p->reply_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
        p->reply_len = 0;
    else if (errno != EAGAIN && errno != EINTR)
        forget(p);
}

/* One message a turn, so that no socket is served twice before the others were. */
static void receive(struct keeper *k, struct peer *p)
{
    char message[KEEPER_MESSAGE_BYTES];
    ssize_t n = recv(p->fd, message, sizeof message, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        forget(p);
        return;
    }
    /* MSG_TRUNC gives the true length: a longer message is malformed, whatever its first bytes say. */
    answer(k, p, (size_t)n <= sizeof message ? slice_of(message, (size_t)n) : slice_of(message, 0));
    send_reply(p);
}

static size_t prepare_polls(struct keeper *k)
{
    size_t open = 0;
    for (size_t i = 0; i < k->count; i++) {
        struct peer *p = &k->peers[i];
        k->polls[i] = (struct pollfd){.fd = p->fd, .events = p->reply_len ? POLLOUT : POLLIN};
        open += p->fd >= 0;
    }
    return open;
}

static void serve_turn(struct keeper *k)
{
    for (size_t i = 0; i < k->count; i++) {
        struct peer *p = &k->peers[i];
        if (p->fd < 0 || !k->polls[i].revents)
            continue;
        if (p->reply_len)
            send_reply(p);
        else
            receive(k, p);
    }
}

static int serve(struct keeper *k, struct err *e)
{
    while (prepare_polls(k) > 0) {
        if (poll(k->polls, k->count, -1) < 0) {
            if (errno == EINTR)
                continue;
            return err_sys(e, "keeper: poll");
        }
        serve_turn(k);
    }
    return 0;
}

int keeper_serve(struct ca *ca, const int *sockets, size_t count, unsigned per_second, struct err *e)
{
    struct keeper k = {.ca = ca, .count = count, .data = BUF_INIT(DATA_BYTES)};
    bucket_init(&k.bucket, per_second);
    bucket_init(&k.seals, SEALS_PER_SECOND);
    if (ca_seal_seed(ca, k.seal_seed, e) < 0)
        return -1;
    k.peers = calloc(count ? count : 1, sizeof *k.peers);
    k.polls = calloc(count ? count : 1, sizeof *k.polls);
    int r = -1;
    if (k.peers && k.polls) {
        for (size_t i = 0; i < count; i++)
            k.peers[i].fd = sockets[i];
        r = serve(&k, e);
    } else {
        err_set(e, "keeper: no memory");
    }
    crypto_wipe(k.seal_seed, sizeof k.seal_seed);
    buf_free(&k.data);
    free(k.polls);
    free(k.peers);
    return r;
}
