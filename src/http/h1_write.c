/* What we send: h1_write_* of http/h1.h.  Each makes room for all of its bytes first, so that an append
 * that does not fit leaves nothing half written. */
#include "base/buf.h"
#include "http/h1.h"

#include <stdio.h>

static char *put(char *to, struct slice s)
{
    if (s.len > 0)
        memcpy(to, s.ptr, s.len);
    return to + s.len;
}

int h1_write_chunk(struct buf *out, struct slice data)
{
    char size[24];
    size_t size_len = (size_t)snprintf(size, sizeof size, "%zx\r\n", data.len);
    size_t len = size_len + data.len + 2;
    char *to = buf_reserve(out, len);

    if (!to || data.len == 0) /* an empty chunk would be the last one */
        return -1;
    to = put(to, slice_of(size, size_len));
    to = put(to, data);
    put(to, SLICE("\r\n"));
    buf_commit(out, len);
    return 0;
}

int h1_write_last_chunk(struct buf *out)
{
    return buf_append(out, SLICE("0\r\n\r\n"));
}

static bool is_forwarded(const struct http_header *field)
{
    return !field->drop && field->id != HTTP_H_HOST && field->id != HTTP_H_CONTENT_LENGTH &&
           field->id != HTTP_H_TRANSFER_ENCODING && field->id != HTTP_H_CONNECTION;
}

static size_t fields_length(const struct http_headers *h)
{
    size_t len = 0;
    for (unsigned i = 0; i < h->count; i++)
        if (is_forwarded(&h->at[i]))
            len += h->at[i].name.len + h->at[i].value.len + sizeof ": \r\n" - 1;
    return len;
}

int h1_write_fields(struct buf *out, const struct http_headers *h)
{
    size_t len = fields_length(h);
    char *to = buf_reserve(out, len);

    if (!to)
        return -1;
    for (unsigned i = 0; i < h->count; i++) {
        if (!is_forwarded(&h->at[i]))
            continue;
        to = put(to, h->at[i].name);
        to = put(to, SLICE(": "));
        to = put(to, h->at[i].value);
        to = put(to, SLICE("\r\n"));
    }
    buf_commit(out, len);
    return 0;
}
