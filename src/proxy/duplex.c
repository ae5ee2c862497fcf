#include "proxy/duplex.h"

#include "loop/loop.h"

#include <sys/socket.h>

enum { LAST_PIECES = 64 };

static enum duplex_side other(enum duplex_side s)
{
    return s == DUPLEX_CLIENT ? DUPLEX_TARGET : DUPLEX_CLIENT;
}

void duplex_init(struct duplex *d, struct blocks *blocks, int client, int target)
{
    *d = (struct duplex){.blocks = blocks};
    d->stream[DUPLEX_CLIENT].fd = client;
    d->stream[DUPLEX_TARGET].fd = target;
    for (enum duplex_side s = DUPLEX_CLIENT; s < DUPLEX_SIDES; s++)
        d->from[s] = BUF_INIT(BLOCK_BYTES);
}

/* -1: it was reset, or there is no memory for what comes. */
static int fill(struct duplex *d, enum duplex_side s)
{
    if (d->ended[s] || buf_len(&d->from[s]))
        return 0;
    ssize_t n = stream_read(&d->stream[s], d->blocks, &d->from[s]);
    if (n == TLS_WANT_READ)
        return 0;
    d->ended[s] = n == 0;
    return n < 0 ? -1 : 0;
}

static int drain(struct duplex *d, enum duplex_side s)
{
    struct stream *to = &d->stream[other(s)];
    ssize_t n = buf_len(&d->from[s]) ? stream_flush(to, &d->from[s]) : 0;
    if (n < 0)
        return -1;
    d->moved[s] += (uint64_t)n;
    if (buf_len(&d->from[s]))
        return 0;
    blocks_take(d->blocks, &d->from[s]);
    if (d->ended[s] && !d->passed_on[s]) {
        d->passed_on[s] = true;
        return shutdown(to->fd, SHUT_WR);
    }
    return 0;
}

/* A side that resets has often said something before, "413" above all: that still is to be read, and arrives.
 * Bounded, since the other side may send for ever. */
static void pass_last_words(struct duplex *d, enum duplex_side s)
{
    for (unsigned i = 0; i < LAST_PIECES; i++)
        if (fill(d, s) < 0 || buf_len(&d->from[s]) == 0 || drain(d, s) < 0 || buf_len(&d->from[s]))
            return;
}

enum duplex_state duplex_move(struct duplex *d)
{
    for (enum duplex_side s = DUPLEX_CLIENT; s < DUPLEX_SIDES; s++) {
        if (fill(d, s) < 0)
            return DUPLEX_CUT;
        if (drain(d, s) < 0) {
            pass_last_words(d, other(s));
            return DUPLEX_CUT;
        }
    }
    return d->passed_on[DUPLEX_CLIENT] && d->passed_on[DUPLEX_TARGET] ? DUPLEX_ENDED : DUPLEX_GOES_ON;
}

int duplex_wants(const struct duplex *d, enum duplex_side s)
{
    bool reads = !d->ended[s] && buf_len(&d->from[s]) == 0;
    return (reads ? LOOP_READ : 0) | (buf_len(&d->from[other(s)]) ? LOOP_WRITE : 0);
}

void duplex_clear(struct duplex *d)
{
    for (enum duplex_side s = DUPLEX_CLIENT; s < DUPLEX_SIDES; s++)
        blocks_take(d->blocks, &d->from[s]);
}
