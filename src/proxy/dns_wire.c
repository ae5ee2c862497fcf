#include "proxy/dns_wire.h"

enum { HEADER = 12, LABEL_MAX = 63, NAME_MAX_WIRE = 255, CLASS_IN = 1 };
enum {
    FLAG_QR = 0x8000,
    OPCODE_MASK = 0x7800,
    FLAG_TC = 0x0200,
    FLAG_RD = 0x0100,
    FLAG_RA = 0x0080,
    FLAG_CD = 0x0010
};

struct reader {
    struct slice rest;
    bool failed;
};

static unsigned take(struct reader *r, size_t bytes)
{
    unsigned value = 0;
    if (r->rest.len < bytes) {
        r->failed = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | (uint8_t)r->rest.ptr[i];
    r->rest = slice_skip(r->rest, bytes);
    return value;
}

static void skip(struct reader *r, size_t bytes)
{
    if (r->rest.len < bytes)
        r->failed = true;
    else
        r->rest = slice_skip(r->rest, bytes);
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static void append_label(struct dns_query *q, struct slice label)
{
    if (!q->host || q->name_len + (q->name_len > 0) + label.len > CAP_HOST_BYTES) {
        q->host = false;
        return;
    }
    if (q->name_len)
        q->name[q->name_len++] = '.';
    for (size_t i = 0; i < label.len; i++) {
        char c = ascii_lower(label.ptr[i]);
        q->host &= is_host_char(c);
        q->name[q->name_len++] = c;
    }
}

/* RFC 1035 3.1; a pointer has nothing to point to in the first name of a message. */
static void take_name(struct reader *r, struct dns_query *q)
{
    q->host = true;
    q->name_len = 0;
    for (size_t wire = 0;;) {
        unsigned len = take(r, 1);
        wire += 1 + len;
        if (r->failed || len > LABEL_MAX || wire > NAME_MAX_WIRE || r->rest.len < len) {
            r->failed = true;
            return;
        }
        if (len == 0)
            break;
        append_label(q, slice_first(r->rest, len));
        skip(r, len);
    }
    if (!q->host)
        q->name_len = 0;
    q->name[q->name_len] = '\0';
}

/* RFC 6891 6.1: the root's name, OPT, the size that the asker takes, version in the TTL. */
static int take_opt(struct reader *r, struct dns_query *q)
{
    unsigned name = take(r, 1), type = take(r, 2), size = take(r, 2), extended = take(r, 4), len = take(r, 2);
    skip(r, len);
    if (r->failed || name != 0 || type != DNS_OPT)
        return DNS_FORMERR;
    q->edns = true;
    q->udp_size = size > DNS_UDP_BYTES ? (uint16_t)size : DNS_UDP_BYTES;
    return extended >> 16 & 0xff ? DNS_BADVERS : 0;
}

int dns_parse(struct slice message, struct dns_query *ret)
{
    struct reader r = {message, false};
    struct dns_query q = {.udp_size = DNS_UDP_BYTES};
    q.id = (uint16_t)take(&r, 2);
    q.flags = (uint16_t)take(&r, 2);
    unsigned questions = take(&r, 2), answers = take(&r, 2), authorities = take(&r, 2),
             additional = take(&r, 2);
    if (r.failed || q.flags & FLAG_QR)
        return -1;
    int rcode = 0;
    if (q.flags & OPCODE_MASK) {
        rcode = DNS_NOTIMP;
    } else if (questions != 1 || answers || authorities || additional > 1) {
        rcode = DNS_FORMERR;
    } else {
        take_name(&r, &q);
        q.type = (uint16_t)take(&r, 2);
        unsigned class = take(&r, 2);
        if (!r.failed)
            q.question_len = message.len - HEADER - r.rest.len;
        if (!r.failed && additional)
            rcode = take_opt(&r, &q);
        if (r.failed || r.rest.len)
            rcode = DNS_FORMERR;
        else if (rcode == 0 && class != CLASS_IN)
            rcode = DNS_REFUSED;
    }
    *ret = q;
    return rcode;
}

void dns_answer_name(struct dns_answer *a, struct slice name)
{
    struct slice label;
    a->len = 0;
    while (slice_next(&name, '.', &label) && label.len && a->len + 1 + label.len + 1 <= sizeof a->data) {
        a->data[a->len++] = (uint8_t)label.len;
        memcpy(a->data + a->len, label.ptr, label.len);
        a->len += label.len;
    }
    a->data[a->len++] = 0;
}

struct writer {
    uint8_t *at;
    size_t len, size;
    bool failed;
};

static void put(struct writer *w, unsigned value, size_t bytes)
{
    if (w->size - w->len < bytes) {
        w->failed = true;
        return;
    }
    while (bytes--)
        w->at[w->len++] = (uint8_t)(value >> 8 * bytes);
}

static void put_bytes(struct writer *w, const void *bytes, size_t len)
{
    if (w->size - w->len < len) {
        w->failed = true;
        return;
    }
    if (len)
        memcpy(w->at + w->len, bytes, len);
    w->len += len;
}

static bool write_one(struct slice message, const struct dns_query *q, const struct dns_answer *a, bool cut,
                      struct writer *w)
{
    bool record = a->type && !cut;
    unsigned flags =
        FLAG_QR | (q->flags & (OPCODE_MASK | FLAG_RD | FLAG_CD)) | FLAG_RA | (cut ? FLAG_TC : 0u);
    put(w, q->id, 2);
    put(w, flags | (a->rcode & 15), 2);
    put(w, q->question_len ? 1 : 0, 2);
    put(w, record, 2);
    put(w, 0, 2);
    put(w, q->edns, 2);
    put_bytes(w, message.ptr + HEADER, q->question_len);
    if (record) {
        put(w, 0xc000 | HEADER, 2); /* the name of the question */
        put(w, a->type, 2);
        put(w, CLASS_IN, 2);
        put(w, a->ttl, 4);
        put(w, (unsigned)a->len, 2);
        put_bytes(w, a->data, a->len);
    }
    if (q->edns) {
        put(w, 0, 1);
        put(w, DNS_OPT, 2);
        put(w, DNS_MESSAGE_BYTES, 2);
        put(w, (unsigned)a->rcode >> 4 << 24, 4);
        put(w, 0, 2);
    }
    return !w->failed;
}

size_t dns_write(struct slice message, const struct dns_query *q, const struct dns_answer *a, size_t limit,
                 uint8_t *ret, size_t size)
{
    struct writer whole = {.at = ret, .size = limit < size ? limit : size}, cut = whole;
    if (write_one(message, q, a, false, &whole))
        return whole.len;
    return write_one(message, q, a, true, &cut) ? cut.len : 0;
}

/* --- reverse names --- */

static bool take_suffix(struct slice *name, struct slice suffix)
{
    if (!slice_ends(*name, suffix))
        return false;
    name->len -= suffix.len;
    return true;
}

static unsigned reverse4(struct slice name, uint8_t ret[16])
{
    struct slice label;
    size_t i = 4;
    for (uint64_t byte; slice_next(&name, '.', &label); ret[--i] = (uint8_t)byte)
        if (i == 0 || slice_to_u64(label, 255, &byte) < 0)
            return 0;
    return i == 0 ? 4 : 0;
}

static int nibble(struct slice label)
{
    if (label.len != 1)
        return -1;
    char c = label.ptr[0];
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static unsigned reverse6(struct slice name, uint8_t ret[16])
{
    struct slice label;
    unsigned i = 32;
    memset(ret, 0, 16);
    while (slice_next(&name, '.', &label)) {
        int value = nibble(label);
        if (value < 0 || i == 0)
            return 0;
        i--;
        ret[i / 2] |= (uint8_t)(i % 2 ? value : value << 4);
    }
    return i == 0 ? 16 : 0;
}

unsigned dns_reverse(struct slice name, uint8_t ret_address[16])
{
    uint8_t address[16];
    unsigned len = take_suffix(&name, SLICE(".in-addr.arpa")) ? reverse4(name, address)
                   : take_suffix(&name, SLICE(".ip6.arpa"))   ? reverse6(name, address)
                                                              : 0;
    memcpy(ret_address, address, len);
    return len;
}
