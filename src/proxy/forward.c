/* Heads as they are sent on: the judged request, byte for byte, and the origin's response. */
#include "proxy/exchange.h"

#include <inttypes.h>

static int write_length(struct buf *out, uint64_t length)
{
    return buf_printf(out, "Content-Length: %" PRIu64 "\r\n", length);
}

/* "Content-Length: 0" is said where the sender said it: some origins ask for it. */
static int write_empty_length(struct buf *out, const struct http_headers *h)
{
    return http_headers_find(h, HTTP_H_CONTENT_LENGTH) ? write_length(out, 0) : 0;
}

int forward_request_head(struct exchange *x, const struct h1_request *r)
{
    struct buf *out = &x->up_out;
    const struct http_target *t = &x->target;
    if (buf_append(out, x->method) < 0 || buf_append(out, SLICE(" ")) < 0 || buf_append(out, t->path) < 0)
        return -1;
    if (t->has_query && (buf_append(out, SLICE("?")) < 0 || buf_append(out, t->query) < 0))
        return -1;
    if (buf_append(out, SLICE(" HTTP/1.1\r\nHost: ")) < 0 ||
        http_authority_print(&t->authority, http_scheme_port(t->scheme), out) < 0 ||
        buf_append(out, SLICE("\r\n")) < 0 || h1_write_fields(out, &r->headers) < 0)
        return -1;
    int framing = r->framing == H1_BODY_LENGTH    ? write_length(out, r->length)
                  : r->framing == H1_BODY_CHUNKED ? buf_append(out, SLICE("Transfer-Encoding: chunked\r\n"))
                                                  : write_empty_length(out, &r->headers);
    return framing < 0 ? -1 : buf_append(out, SLICE("\r\n"));
}

/* A body whose length the origin did not say is sent in chunks, so that a cut one shows; a client that
 * speaks HTTP/1.0 gets it until the end of the connection. */
static int write_response_framing(struct exchange *x, const struct h1_response *r)
{
    struct buf *out = &x->conn->out;
    x->response_chunked = x->response_close = false;
    if (r->framing == H1_BODY_LENGTH)
        return write_length(out, r->length);
    if (r->framing == H1_BODY_NONE) {
        bool says = r->has_length && r->status >= 200 && r->status != 204;
        return says ? write_length(out, r->says) : 0;
    }
    x->response_chunked = !x->http10;
    x->response_close = x->http10;
    return x->response_chunked ? buf_append(out, SLICE("Transfer-Encoding: chunked\r\n")) : 0;
}

static int write_connection(struct exchange *x)
{
    struct conn *c = x->conn;
    c->close_after = c->close_after || !x->client_keep_alive || !x->request_done || x->response_close ||
                     c->blocked_tunnel || c->eof || c->worker->draining;
    if (c->close_after)
        return buf_append(&c->out, SLICE("Connection: close\r\n"));
    return x->http10 ? buf_append(&c->out, SLICE("Connection: keep-alive\r\n")) : 0;
}

int forward_response_head(struct exchange *x, const struct h1_response *r)
{
    struct buf *out = &x->conn->out;
    if (buf_printf(out, "HTTP/1.1 %u ", r->status) < 0 || buf_append(out, r->reason_phrase) < 0 ||
        buf_append(out, SLICE("\r\n")) < 0 || h1_write_fields(out, &r->headers) < 0)
        return -1;
    if (r->status >= 200 && (write_response_framing(x, r) < 0 || write_connection(x) < 0))
        return -1;
    return buf_append(out, SLICE("\r\n"));
}
