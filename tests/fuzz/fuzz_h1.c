/* HTTP/1.1 heads and bodies from arbitrary bytes.
 *
 * The first byte chooses what the rest is read as and where it is cut.  What must hold: no more is
 * consumed than is there; slices lie in the input; a head that is whole has no whole head as a part; a
 * body gives the same payload, trailers, end and verdict wherever it is cut; the trailers that we would send
 * are the end of a chunked body to a strict reader. */
#include "base/buf.h"
#include "http/h1.h"
#include "http/trailers.h"

#include <stdlib.h>

enum { HEAD_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void must_lie_in(struct slice s, struct slice in)
{
    must(s.len == 0 || (s.ptr >= in.ptr && s.ptr + s.len <= in.ptr + in.len));
}

static void check_fields(const struct http_headers *h, struct slice in)
{
    must(h->count <= CAP_HEADERS);
    for (unsigned i = 0; i < h->count; i++) {
        const struct http_header *f = &h->at[i];
        must_lie_in(f->name, in);
        must_lie_in(f->value, in);
        must(f->name.len > 0 && slice_find(f->name, ' ') < 0 && slice_find(f->name, ':') < 0);
        must(slice_find(f->value, '\r') < 0 && slice_find(f->value, '\n') < 0 &&
             slice_find(f->value, '\0') < 0);
    }
}

/* What we would send of these fields reads back as the same fields. */
static void check_forwarded(const struct http_headers *h)
{
    struct buf out = BUF_INIT(4 * HEAD_MAX);
    struct h1_response again;
    struct http_problem problem;
    size_t n;

    must(buf_append(&out, SLICE("HTTP/1.1 200 \r\n")) == 0 && h1_write_fields(&out, h) == 0 &&
         buf_append(&out, SLICE("\r\n")) == 0);
    must(h1_parse_response(buf_slice(&out), 4 * HEAD_MAX, SLICE("GET"), &again, &n, &problem) == 1);
    must(n == buf_len(&out) && again.framing == H1_BODY_CLOSE);
    buf_free(&out);
}

static void check_request(struct slice in, size_t cut)
{
    struct h1_request r;
    struct http_problem problem = {0};
    size_t used = 0, n;
    int got = h1_parse_request(in, HEAD_MAX, &r, &used, &problem);

    must(got > 0 || used == 0);
    must(got < 0 ? problem.fault != HTTP_OK && problem.detail : problem.fault == HTTP_OK);
    if (got > 0) {
        must(used <= in.len && used <= HEAD_MAX);
        must_lie_in(r.method, in);
        must_lie_in(r.target, in);
        check_fields(&r.headers, in);
        check_forwarded(&r.headers);
        must(r.framing != H1_BODY_CLOSE && (r.length > 0) == (r.framing == H1_BODY_LENGTH));
    }
    size_t end = got > 0 ? used - 1 : in.len;
    int part = h1_parse_request(slice_first(in, cut < end ? cut : end), HEAD_MAX, &r, &n, &problem);
    must(part == 0 || (part < 0 && got < 0));
}

static void check_response(struct slice in, struct slice method, size_t cut)
{
    struct h1_response r;
    struct http_problem problem = {0};
    size_t used = 0, n;
    int got = h1_parse_response(in, HEAD_MAX, method, &r, &used, &problem);

    if (got > 0) {
        must(used <= in.len && r.status >= 100 && r.status <= 999);
        must_lie_in(r.reason_phrase, in);
        check_fields(&r.headers, in);
        check_forwarded(&r.headers);
        must(!r.keep_alive || r.framing != H1_BODY_CLOSE);
    }
    size_t end = got > 0 ? used - 1 : in.len;
    int part = h1_parse_response(slice_first(in, cut < end ? cut : end), HEAD_MAX, method, &r, &n, &problem);
    must(part == 0 || (part < 0 && got < 0));
}

struct outcome {
    bool refused, done;
    size_t used;
    uint64_t total, hash;
};

static void feed(struct h1_body *b, struct slice in, struct outcome *o)
{
    size_t n = 1, used = 0;

    while (n > 0 && !o->refused) {
        struct slice data;
        struct http_problem problem;
        if (h1_body_read(b, slice_skip(in, used), &data, &n, &problem) < 0) {
            o->refused = true;
            break;
        }
        must(n <= in.len - used && data.len <= n);
        must_lie_in(data, in);
        for (size_t i = 0; i < data.len; i++)
            o->hash = (o->hash ^ (uint8_t)data.ptr[i]) * UINT64_C(1099511628211);
        used += n;
    }
    o->used += used;
}

static void check_trailers(struct slice section)
{
    struct buf out = BUF_INIT(2 * CAP_TRAILER_BYTES);
    struct h1_body b;
    struct slice data;
    size_t n;

    if (http_trailers_write(section, &out, NULL) == 0) {
        h1_body_init(&b, H1_BODY_CHUNKED, 0);
        must(h1_body_read(&b, buf_slice(&out), &data, &n, NULL) == 0);
        must(h1_body_done(&b) && n == buf_len(&out) && data.len == 0);
    }
    buf_free(&out);
}

static struct outcome read_cut(struct slice in, enum h1_framing framing, bool lenient, size_t cut)
{
    struct buf trailers = BUF_INIT(CAP_TRAILER_BYTES + 2);
    struct h1_body b;
    struct outcome o = {0};

    h1_body_init(&b, framing, 1000);
    b.lenient = lenient;
    b.trailers = &trailers;
    feed(&b, slice_first(in, cut), &o);
    if (!o.refused && !h1_body_done(&b))
        feed(&b, slice_skip(in, cut), &o);
    o.done = h1_body_done(&b);
    o.total = b.total;
    struct slice section = buf_slice(&trailers);
    for (size_t i = 0; i < section.len; i++)
        o.hash = (o.hash ^ (uint8_t)section.ptr[i]) * UINT64_C(1099511628211);
    if (o.done && !o.refused)
        check_trailers(section);
    buf_free(&trailers);
    return o;
}

static void check_body(struct slice in, enum h1_framing framing, bool lenient, size_t cut)
{
    struct outcome whole = read_cut(in, framing, lenient, in.len), parts = read_cut(in, framing, lenient, cut);

    must(whole.refused == parts.refused);
    if (!whole.refused)
        must(whole.done == parts.done && whole.used == parts.used && whole.total == parts.total &&
             whole.hash == parts.hash && (whole.done || whole.used == in.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct slice in = slice_of((const char *)data + 3, size - 3);
    size_t cut = ((size_t)data[1] << 8 | data[2]) % (in.len + 1);

    switch (data[0] % 6) {
    case 0:
        check_request(in, cut);
        break;
    case 1:
        check_response(in, SLICE("GET"), cut);
        break;
    case 2:
        check_response(in, SLICE("HEAD"), cut);
        break;
    case 3:
        check_body(in, H1_BODY_CHUNKED, data[0] & 0x80, cut);
        break;
    case 4:
        check_body(in, H1_BODY_LENGTH, false, cut);
        break;
    default:
        check_body(in, H1_BODY_CLOSE, false, cut);
    }
    return 0;
}
