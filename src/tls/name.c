#include "tls/name.h"
#include "base/caps.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 1123 2.1, with the underscore that names in use have. */
static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

static bool is_label(struct slice label)
{
    if (label.len == 0 || label.len > CAP_LABEL_BYTES)
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_label_char(label.ptr[i]))
            return false;
    return label.ptr[0] != '-' && label.ptr[label.len - 1] != '-';
}

/* Such a last label makes resolvers read the whole as an IPv4 address in one of its many forms. */
static bool is_number(struct slice label)
{
    if (label.len >= 2 && label.ptr[0] == '0' && label.ptr[1] == 'x')
        return true;
    for (size_t i = 0; i < label.len; i++)
        if (!is_digit(label.ptr[i]))
            return false;
    return true;
}

static bool is_dns_name(struct slice text)
{
    struct slice rest = text, label = {0};
    if (text.ptr[text.len - 1] == '.') /* slice_next would not show the empty label behind it */
        return false;
    while (slice_next(&rest, '.', &label))
        if (!is_label(label))
            return false;
    return !is_number(label);
}

/* Only the text that inet_ntop(3) writes: a second spelling would be a second certificate. */
static bool is_address(struct slice text, int family, uint8_t *ret_address)
{
    char in[INET6_ADDRSTRLEN], out[INET6_ADDRSTRLEN];
    if (text.len >= sizeof in || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(in, text.ptr, text.len);
    in[text.len] = '\0';
    return inet_pton(family, in, ret_address) == 1 && inet_ntop(family, ret_address, out, sizeof out) &&
           strcmp(in, out) == 0;
}

int tls_name_parse(struct slice text, struct tls_name *ret)
{
    struct tls_name name = {.text = text};
    if (text.len == 0 || text.len > CAP_HOST_BYTES)
        return -1;
    if (is_address(text, AF_INET, name.address))
        name.kind = TLS_NAME_IPV4;
    else if (is_address(text, AF_INET6, name.address))
        name.kind = TLS_NAME_IPV6;
    else if (is_dns_name(text))
        name.kind = TLS_NAME_DNS;
    else
        return -1;
    *ret = name;
    return 0;
}

size_t tls_name_address_bytes(const struct tls_name *name)
{
    switch (name->kind) {
    case TLS_NAME_IPV4:
        return 4;
    case TLS_NAME_IPV6:
        return 16;
    case TLS_NAME_DNS:
        break;
    }
    return 0;
}
