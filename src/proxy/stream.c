#include "proxy/stream.h"

#include <errno.h>
#include <sys/socket.h>

enum { PIECE_BYTES = 16 << 10 };

static ssize_t plain_read(int fd, char *to, size_t len)
{
    ssize_t n;
    do
        n = recv(fd, to, len, 0);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN ? TLS_WANT_READ : TLS_CUT;
}

static ssize_t plain_write(int fd, struct slice s)
{
    ssize_t n;
    do
        n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN ? TLS_WANT_WRITE : TLS_FAILED;
}

ssize_t stream_read(struct stream *s, struct blocks *blocks, struct buf *in)
{
    blocks_give(blocks, in);
    size_t space = buf_space(in), len = space < PIECE_BYTES ? space : PIECE_BYTES;
    char *to = len ? buf_reserve(in, len) : NULL;
    if (!to)
        return TLS_FAILED;
    ssize_t n = s->tls ? tls_read(s->tls, to, len) : plain_read(s->fd, to, len);
    if (n > 0)
        buf_commit(in, (size_t)n);
    s->read_wants_write = n == TLS_WANT_WRITE;
    return n == TLS_WANT_WRITE ? TLS_WANT_READ : n;
}

ssize_t stream_flush(struct stream *s, struct buf *out)
{
    ssize_t total = 0;
    s->want_write = false;
    while (buf_len(out)) {
        struct slice rest = buf_slice(out);
        ssize_t n = s->tls ? tls_write(s->tls, rest.ptr, rest.len) : plain_write(s->fd, rest);
        if (n == TLS_WANT_WRITE) {
            s->want_write = true;
            break;
        }
        if (n == TLS_WANT_READ)
            break; /* the next readable event brings the reader here again */
        if (n <= 0)
            return TLS_FAILED;
        buf_consume(out, (size_t)n);
        total += n;
    }
    return total;
}

void stream_reset_on_close(int fd)
{
    const struct linger now = {.l_onoff = 1};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) < 0) {
        /* it is closed all the same; TLS then has no close_notify */
    }
}

int stream_own_address(int fd, struct fetch_address *ret)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return -1;
    return fetch_address_from_sockaddr((struct sockaddr *)&sa, len, ret);
}

bool stream_has_pending(const struct stream *s)
{
    return s->tls && tls_has_pending(s->tls);
}
