#include "http/address.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { GROUPS = 8 };

int http_ipv4_parse(struct slice text, uint8_t ret_address[4])
{
    uint8_t address[4];
    struct slice part;
    size_t n = 0;

    while (slice_next(&text, '.', &part)) {
        uint64_t value;
        if (n == 4 || slice_to_u64(part, 255, &value) < 0 || (part.len > 1 && part.ptr[0] == '0'))
            return -1;
        address[n++] = (uint8_t)value;
    }
    if (n != 4)
        return -1;
    memcpy(ret_address, address, sizeof address);
    return 0;
}

int http_ipv6_parse(struct slice text, uint8_t ret_address[16])
{
    char copy[HTTP_IPV6_TEXT];
    struct in6_addr address;

    if (text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return -1;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET6, copy, &address) != 1)
        return -1;
    memcpy(ret_address, &address, sizeof address);
    return 0;
}

struct run {
    int start, len;
};

/* The first of the longest runs of at least two zero groups (RFC 5952 4.2.2 and 4.2.3). */
static struct run longest_zero_run(const unsigned group[GROUPS])
{
    struct run best = {-1, 1}, now = {-1, 0};

    for (int i = 0; i < GROUPS; i++) {
        if (group[i] != 0) {
            now.len = 0;
            continue;
        }
        if (now.len++ == 0)
            now.start = i;
        if (now.len > best.len)
            best = now;
    }
    return best;
}

/* inet_ntop(3) is not used: it also writes ::a.b.c.d, which RFC 5952 5 leaves to known prefixes. */
size_t http_ipv6_print(const uint8_t address[16], char ret_text[HTTP_IPV6_TEXT])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned group[GROUPS];
    size_t len = 0;

    if (memcmp(address, mapped, sizeof mapped) == 0)
        return (size_t)snprintf(ret_text, HTTP_IPV6_TEXT, "::ffff:%u.%u.%u.%u", address[12], address[13],
                                address[14], address[15]);
    for (int i = 0; i < GROUPS; i++)
        group[i] = (unsigned)address[2 * i] << 8 | address[2 * i + 1];
    struct run zeros = longest_zero_run(group);
    for (int i = 0; i < GROUPS; i++) {
        if (i == zeros.start) {
            len += (size_t)snprintf(ret_text + len, HTTP_IPV6_TEXT - len, "::");
            i += zeros.len - 1;
            continue;
        }
        bool colon = i > 0 && ret_text[len - 1] != ':';
        len += (size_t)snprintf(ret_text + len, HTTP_IPV6_TEXT - len, colon ? ":%x" : "%x", group[i]);
    }
    return len;
}
