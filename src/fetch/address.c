#include "fetch/address.h"

#include "http/address.h"

#include <stdio.h>

int fetch_address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct fetch_address *ret)
{
    struct fetch_address a = {0};

    if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        a.port = ntohs(in.sin_port);
        memcpy(a.bytes, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        a.port = ntohs(in6.sin6_port);
        memcpy(a.bytes, &in6.sin6_addr, 16);
    } else {
        return -1;
    }
    a.family = sa->sa_family;
    *ret = a;
    return 0;
}

socklen_t fetch_address_to_sockaddr(const struct fetch_address *a, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a->family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->bytes, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(a->port);
    memcpy(&in6->sin6_addr, a->bytes, 16);
    return sizeof *in6;
}

int fetch_address_parse(struct slice text, uint16_t port, struct fetch_address *ret)
{
    struct fetch_address a = {.family = AF_INET, .port = port};

    if (http_ipv4_parse(text, a.bytes) < 0) {
        a.family = AF_INET6;
        if (http_ipv6_parse(text, a.bytes) < 0)
            return -1;
    }
    *ret = a;
    return 0;
}

void fetch_address_print(const struct fetch_address *a, char ret[FETCH_ADDRESS_TEXT])
{
    const uint8_t *b = a->bytes;

    if (a->family == AF_INET)
        snprintf(ret, FETCH_ADDRESS_TEXT, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    else
        http_ipv6_print(b, ret);
}

bool fetch_address_same_host(const struct fetch_address *a, const struct fetch_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, a->family == AF_INET ? 4 : 16) == 0;
}
