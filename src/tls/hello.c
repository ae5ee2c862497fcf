#include "tls/hello.h"

enum {
    RECORD_HANDSHAKE = 22,
    RECORD_HEAD_BYTES = 5,
    RECORD_BYTES_MAX = 1 << 14, /* RFC 8446 5.1 */
    MESSAGE_CLIENT_HELLO = 1,
    MESSAGE_HEAD_BYTES = 4,
    RANDOM_BYTES = 32,
    SESSION_ID_MAX = 32,
    EXTENSION_SERVER_NAME = 0,
    NAME_TYPE_HOST = 0,
};

/* Extensions behind which a server may find another name than the one in the open.  Some clients send the
 * first though it hides nothing (GREASE, RFC 9849 6.2), made so that nobody on the way can tell. */
static const uint16_t hiding[] = {
    0xfe0d, /* encrypted_client_hello, RFC 9849 */
    0xffce, /* encrypted_server_name, in the drafts before it */
};

/* Takes a big-endian number of `bytes` bytes. */
static bool take_number(struct slice *in, unsigned bytes, size_t *ret)
{
    size_t n = 0;
    if (in->len < bytes)
        return false;
    for (unsigned i = 0; i < bytes; i++)
        n = n << 8 | (uint8_t)in->ptr[i];
    *in = slice_skip(*in, bytes);
    *ret = n;
    return true;
}

/* Takes a vector whose length stands before it in `bytes` bytes (RFC 8446 3.4). */
static bool take_vector(struct slice *in, unsigned bytes, struct slice *ret)
{
    size_t len;
    if (!take_number(in, bytes, &len) || in->len < len)
        return false;
    *ret = slice_first(*in, len);
    *in = slice_skip(*in, len);
    return true;
}

static bool take_version(struct slice *in)
{
    size_t version;
    return take_number(in, 2, &version) && version >> 8 == 3 && (version & 0xff) <= 4;
}

/* A list with exactly one host_name. */
static bool read_name(struct slice in, struct tls_hello *h)
{
    struct slice list, name;
    size_t type;
    if (!take_vector(&in, 2, &list) || in.len || !take_number(&list, 1, &type) || type != NAME_TYPE_HOST ||
        !take_vector(&list, 2, &name) || list.len || name.len == 0 || name.len > sizeof h->name)
        return false;
    memcpy(h->name, name.ptr, name.len);
    h->name_len = name.len;
    return true;
}

static bool hides_name(size_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(hiding); i++)
        if (hiding[i] == type)
            return true;
    return false;
}

static bool read_extensions(struct slice in, struct tls_hello *h)
{
    bool named = false;
    while (in.len) {
        struct slice body;
        size_t type;
        if (!take_number(&in, 2, &type) || !take_vector(&in, 2, &body))
            return false;
        if (type == EXTENSION_SERVER_NAME && (named || !read_name(body, h)))
            return false;
        named |= type == EXTENSION_SERVER_NAME;
        h->hides_name |= hides_name(type);
    }
    return true;
}

static bool read_body(struct slice in, struct tls_hello *h)
{
    struct slice session, suites, compressions, extensions = {NULL, 0};
    if (!take_version(&in) || in.len < RANDOM_BYTES)
        return false;
    in = slice_skip(in, RANDOM_BYTES);
    if (!take_vector(&in, 1, &session) || session.len > SESSION_ID_MAX || !take_vector(&in, 2, &suites) ||
        suites.len < 2 || suites.len % 2 || !take_vector(&in, 1, &compressions) || compressions.len < 1)
        return false;
    if (in.len && (!take_vector(&in, 2, &extensions) || in.len))
        return false;
    return read_extensions(extensions, h);
}

/* What is there of one record's part of the message, appended to `message`: 1 where it is all of it, 0 for
 * more, -1. */
static int take_record(struct slice *in, char *message, size_t *len)
{
    struct slice rest = *in, body;
    size_t type, size;
    if (in->len && (uint8_t)in->ptr[0] != RECORD_HANDSHAKE)
        return -1;
    if (in->len > 1 && in->ptr[1] != 3)
        return -1;
    if (in->len < RECORD_HEAD_BYTES)
        return 0;
    if (!take_number(&rest, 1, &type) || !take_version(&rest) || !take_number(&rest, 2, &size) || size == 0 ||
        size > RECORD_BYTES_MAX || *len + size > CAP_CLIENT_HELLO_BYTES)
        return -1;
    body = slice_first(rest, size);
    if (body.len)
        memcpy(message + *len, body.ptr, body.len);
    *len += body.len;
    *in = slice_skip(rest, body.len);
    return body.len == size;
}

/* How long the message is with its head; 0: not known yet, -1: it is no ClientHello. */
static ptrdiff_t message_length(struct slice message)
{
    size_t type, len;
    if (!take_number(&message, 1, &type))
        return 0;
    if (type != MESSAGE_CLIENT_HELLO)
        return -1;
    if (!take_number(&message, 3, &len))
        return 0;
    return len + MESSAGE_HEAD_BYTES > CAP_CLIENT_HELLO_BYTES ? -1 : (ptrdiff_t)len + MESSAGE_HEAD_BYTES;
}

int tls_hello_read(struct slice in, struct tls_hello *ret)
{
    char message[CAP_CLIENT_HELLO_BYTES]; /* records may cut it anywhere */
    size_t len = 0;
    ptrdiff_t whole = 0;
    while (whole == 0 || (size_t)whole > len) {
        int got = take_record(&in, message, &len);
        whole = got < 0 ? -1 : message_length(slice_of(message, len)); /* what starts wrong need not be waited for */
        if (whole < 0)
            return -1;
        if (got == 0)
            return 0;
    }
    struct tls_hello h = {0};
    if ((size_t)whole != len || !read_body(slice_of(message + MESSAGE_HEAD_BYTES, len - MESSAGE_HEAD_BYTES), &h))
        return -1;
    *ret = h;
    return 1;
}
