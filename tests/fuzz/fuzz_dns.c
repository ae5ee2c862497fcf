/* Questions to a jail's name server from arbitrary bytes.
 *
 * What must hold: what is answered is a response to that question, fits, and repeats the question byte for
 * byte; a name that is taken for a host's has only a host's characters; what is cut says so. */
#include "proxy/dns_wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void must_be_host(const struct dns_query *q)
{
    must(q->name_len <= CAP_HOST_BYTES && q->name[q->name_len] == '\0');
    for (size_t i = 0; i < q->name_len; i++) {
        char c = q->name[i];
        must((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.');
    }
}

static void must_answer(struct slice message, const struct dns_query *q, const struct dns_answer *a,
                        size_t limit)
{
    uint8_t out[DNS_MESSAGE_BYTES];
    size_t n = dns_write(message, q, a, limit, out, sizeof out);
    must(n <= limit && n <= sizeof out && (n == 0 || n >= 12));
    if (n == 0)
        return;
    must(memcmp(out, message.ptr, 2) == 0 && out[2] & 0x80 && (out[3] & 15) == ((unsigned)a->rcode & 15));
    must(memcmp(out + 12, message.ptr + 12, q->question_len) == 0);
    bool cut = out[2] & 2;
    must(out[7] == (a->type && !cut));
    must(dns_parse(slice_of((char *)out, n), &(struct dns_query){0}) < 0); /* never taken for a question */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice message = slice_of((const char *)data, size);
    struct dns_query q;
    struct dns_answer a = {.ttl = 1};
    uint8_t address[16];
    int fault = dns_parse(message, &q);
    if (fault < 0)
        return 0;
    must(q.question_len <= size && q.udp_size >= DNS_UDP_BYTES);
    if (fault == 0) {
        must_be_host(&q);
        unsigned len = dns_reverse(slice_of(q.name, q.name_len), address);
        must(len == 0 || len == 4 || len == 16);
        a.type = DNS_PTR;
        dns_answer_name(&a, slice_of(q.name, q.name_len));
        must(a.len <= sizeof a.data);
    }
    a.rcode = (enum dns_rcode)fault;
    must_answer(message, &q, &a, DNS_UDP_BYTES);
    must_answer(message, &q, &a, DNS_MESSAGE_BYTES);
    return 0;
}
