/* Bytes over a descriptor, plain or through TLS, with one set of results (enum tls_result). */
#pragma once
#include "base/buf.h"
#include "fetch/address.h"
#include "proxy/blocks.h"
#include "tls/conn.h"

struct stream {
    int fd;
    struct tls_conn *tls; /* NULL: plain TCP */
    bool want_write;      /* the last call waits for the descriptor to become writable */
    bool read_wants_write; /* a TLS read waits for that (a key update) */
};

/* One read of a piece into the buffer's free space, to which a block is given where it has none: bytes (> 0), 0
 * for a clean end, else an enum tls_result: TLS_WANT_READ for whatever it waits for, TLS_FAILED also when the
 * buffer has no room. */
MUST_USE ssize_t stream_read(struct stream *s, struct blocks *blocks, struct buf *in);
/* Writes from the front of the buffer and consumes what went out, until it is empty or the descriptor
 * is full.  Bytes written (0 or more), or TLS_FAILED. */
MUST_USE ssize_t stream_flush(struct stream *s, struct buf *out);
/* close(2) will send RST (socket(7), SO_LINGER): what was cut must not look whole. */
void stream_reset_on_close(int fd);
/* The address that the peer is connected to, with its port. */
MUST_USE int stream_own_address(int fd, struct fetch_address *ret);
/* Bytes that can be read without waiting for the descriptor. */
bool stream_has_pending(const struct stream *s);
