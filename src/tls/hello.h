/* The first message of a TLS client, read without answering it: for connections that are passed through and
 * not terminated (`tls: passthrough`).
 *
 * Strict: a ClientHello of TLS 1.0 to 1.3 (RFC 5246 7.4.1.2, RFC 8446 4.1.2), in whole records, nothing behind it
 * in its last one, one server name or none (RFC 6066 3).  Pure: no descriptor, no clock, no OpenSSL. */
#pragma once
#include "base/caps.h"
#include "base/slice.h"

struct tls_hello {
    char name[CAP_HOST_BYTES + 2]; /* as it came; without NUL */
    size_t name_len;               /* 0: there is none */
    bool hides_name; /* encrypted_client_hello or its like: the name inside may be another, or there is none */
};

/* 1: a whole ClientHello stands at the front of `in`; 0: more bytes are needed; -1: it is none, or longer than
 * CAP_CLIENT_HELLO_BYTES. */
MUST_USE int tls_hello_read(struct slice in, struct tls_hello *ret);
