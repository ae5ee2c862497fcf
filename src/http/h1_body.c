/* Bodies, read piece by piece: h1_body_* of http/h1.h (RFC 9112 6.3 and 7.1). */
#include "base/buf.h"
#include "http/chars.h"
#include "http/h1.h"

/* Of a chunked body, in the order in which they come. */
enum state {
    CHUNK_SIZE,
    CHUNK_SPACE, /* white space behind the size */
    CHUNK_EXTENSION,
    CHUNK_LINE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_START, /* of a trailer line, or of the empty line that ends the message */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    FINAL_LF,
    FINISHED,
};

enum { CHUNK_DIGITS = 16 };

void h1_body_init(struct h1_body *b, enum h1_framing framing, uint64_t length)
{
    *b = (struct h1_body){.framing = framing, .left = framing == H1_BODY_LENGTH ? length : 0};
}

bool h1_body_done(const struct h1_body *b)
{
    switch (b->framing) {
    case H1_BODY_NONE:
        return true;
    case H1_BODY_LENGTH:
        return b->left == 0;
    case H1_BODY_CHUNKED:
        return b->state == FINISHED;
    case H1_BODY_CLOSE:
        break;
    }
    return false;
}

int h1_body_eof(const struct h1_body *b)
{
    return b->framing == H1_BODY_CLOSE || h1_body_done(b) ? 0 : -1;
}

static int refuse(struct http_problem *problem, const char *detail)
{
    return http_refuse(problem, HTTP_AMBIGUOUS_FRAMING, detail);
}

/* b->line counts the digits of the size, then all of the line. */
static int take_size(struct h1_body *b, char c, struct http_problem *problem)
{
    if (http_is(c, CH_HEX)) {
        if (b->line++ == CHUNK_DIGITS)
            return refuse(problem, "a chunk size of more than 16 digits");
        b->left = b->left << 4 | http_hex(c);
        return 0;
    }
    bool space = b->lenient && (c == ' ' || c == '\t');
    if (b->line == 0 || (c != '\r' && c != ';' && !space))
        return refuse(problem, "a chunk size that is not a hexadecimal number");
    if (b->left > INT64_MAX - b->total)
        return refuse(problem, "a chunk size that is too large");
    b->line++;
    b->state = space ? CHUNK_SPACE : c == '\r' ? CHUNK_LINE_LF : CHUNK_EXTENSION;
    return 0;
}

/* Nothing but more of it, an extension or the end may follow: "5 5" has no meaning. */
static int take_space(struct h1_body *b, char c, struct http_problem *problem)
{
    if (b->line++ == CAP_CHUNK_LINE_BYTES)
        return refuse(problem, "a chunk line that is too long");
    if (c == '\r' || c == ';')
        b->state = c == '\r' ? CHUNK_LINE_LF : CHUNK_EXTENSION;
    else if (c != ' ' && c != '\t')
        return refuse(problem, "a chunk size that is not a hexadecimal number");
    return 0;
}

static int take_extension(struct h1_body *b, char c, struct http_problem *problem)
{
    if (b->line++ == CAP_CHUNK_LINE_BYTES)
        return refuse(problem, "a chunk extension that is too long");
    if (c == '\r')
        b->state = CHUNK_LINE_LF;
    else if (!http_is(c, CH_VALUE))
        return refuse(problem, "a control character in a chunk extension");
    return 0;
}

static int take_trailer(struct h1_body *b, char c, struct http_problem *problem)
{
    if (b->line++ == CAP_TRAILER_BYTES)
        return http_refuse(problem, HTTP_HEAD_TOO_LARGE, "trailers that are too large");
    if (b->state == TRAILER_VALUE) {
        if (c == '\r')
            b->state = TRAILER_LF;
        else if (!http_is(c, CH_VALUE))
            return http_refuse(problem, HTTP_MALFORMED, "a control character in a trailer");
        return 0;
    }
    if (b->state == TRAILER_START && c == '\r')
        b->state = FINAL_LF;
    else if (b->state == TRAILER_NAME && c == ':')
        b->state = TRAILER_VALUE;
    else if (http_is(c, CH_TOKEN))
        b->state = TRAILER_NAME;
    else
        return http_refuse(problem, HTTP_MALFORMED, "a trailer name that is not a token");
    return 0;
}

static int take_exactly(struct h1_body *b, char c, char expected, enum state next,
                        struct http_problem *problem)
{
    if (c != expected)
        return refuse(problem, expected == '\n' ? "a carriage return without a line feed in a chunked body"
                                                : "chunk data that is longer than its size");
    b->state = (int)next;
    return 0;
}

/* The line after a size: data follow, or after the last chunk the trailers. */
static int take_line_lf(struct h1_body *b, char c, struct http_problem *problem)
{
    b->line = 0;
    return take_exactly(b, c, '\n', b->left > 0 ? CHUNK_DATA : TRAILER_START, problem);
}

/* One byte that is not chunk data. */
static int take_byte(struct h1_body *b, char c, struct http_problem *problem)
{
    switch ((enum state)b->state) {
    case CHUNK_SIZE:
        return take_size(b, c, problem);
    case CHUNK_SPACE:
        return take_space(b, c, problem);
    case CHUNK_EXTENSION:
        return take_extension(b, c, problem);
    case CHUNK_LINE_LF:
        return take_line_lf(b, c, problem);
    case CHUNK_DATA_CR:
        return take_exactly(b, c, '\r', CHUNK_DATA_LF, problem);
    case CHUNK_DATA_LF:
        return take_exactly(b, c, '\n', CHUNK_SIZE, problem);
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return take_trailer(b, c, problem);
    case TRAILER_LF:
        b->line++;
        return take_exactly(b, c, '\n', TRAILER_START, problem);
    case FINAL_LF:
        return take_exactly(b, c, '\n', FINISHED, problem);
    case CHUNK_DATA:
    case FINISHED:
        break;
    }
    return refuse(problem, "a byte behind the end of a body");
}

/* As much payload as `in` has, from `at` on. */
static struct slice take_data(struct h1_body *b, struct slice in, size_t at)
{
    size_t room = in.len - at;
    size_t len = b->left < room ? (size_t)b->left : room;

    b->left -= len;
    b->total += len;
    return slice_of(in.ptr + at, len);
}

static bool in_trailers(const struct h1_body *b)
{
    return b->state >= TRAILER_START && b->state <= FINAL_LF;
}

/* All that is not chunk data, up to some or to the end.  *ret_trailers: what of it belongs to the trailers. */
static int read_lines(struct h1_body *b, struct slice in, size_t *at, struct slice *ret_trailers,
                      struct http_problem *problem)
{
    bool trailing = in_trailers(b);
    size_t from = *at;

    while (*at < in.len && b->state != CHUNK_DATA && b->state != FINISHED) {
        if (take_byte(b, in.ptr[(*at)++], problem) < 0)
            return -1;
        if (!trailing && in_trailers(b)) {
            trailing = true;
            from = *at;
        }
    }
    *ret_trailers = trailing ? slice_of(in.ptr + from, *at - from) : slice_of(NULL, 0);
    return 0;
}

/* The empty line alone is no trailers: nothing is kept of it, wherever the bytes are cut. */
static int keep_trailers(struct h1_body *b, struct slice part, struct http_problem *problem)
{
    struct buf *kept = b->trailers;
    bool last = b->state == FINISHED;
    if (!kept || part.len == 0 || (last && part.len == 2 && buf_len(kept) == 0))
        return 0;
    if (buf_append(kept, part) < 0)
        return http_refuse(problem, HTTP_HEAD_TOO_LARGE, "no room for the trailers");
    if (last && buf_len(kept) == 2)
        buf_clear(kept);
    return 0;
}

static int read_chunked(struct h1_body *b, struct slice in, struct slice *ret_data, size_t *ret_consumed,
                        struct http_problem *problem)
{
    struct h1_body now = *b; /* so that *b is untouched on failure, too */
    struct slice data = {NULL, 0}, trailers;
    size_t at = 0;

    if (read_lines(&now, in, &at, &trailers, problem) < 0 || keep_trailers(&now, trailers, problem) < 0)
        return -1;
    if (now.state == CHUNK_DATA && at < in.len) {
        data = take_data(&now, in, at);
        at += data.len;
        if (now.left == 0)
            now.state = CHUNK_DATA_CR;
    }
    *b = now;
    *ret_data = data;
    *ret_consumed = at;
    return 0;
}

int h1_body_read(struct h1_body *b, struct slice in, struct slice *ret_data, size_t *ret_consumed,
                 struct http_problem *problem)
{
    if (b->framing == H1_BODY_CHUNKED)
        return read_chunked(b, in, ret_data, ret_consumed, problem);
    if (b->framing == H1_BODY_CLOSE)
        b->left = in.len;
    *ret_data = in.len > 0 ? take_data(b, in, 0) : slice_of(NULL, 0);
    *ret_consumed = ret_data->len;
    return 0;
}
