/* TCP connections to judged addresses (libcurl's multi interface as connector).
 *
 * Happy eyeballs over the addresses, in their order; where they are an upstream proxy's, libcurl also asks that
 * one for the way to the origin: HTTP CONNECT (RFC 9110 9.3.6) or SOCKS5 (RFC 1928, RFC 1929).  Nothing else of
 * libcurl is used: it resolves no name, and reads no environment.  What comes out is a non-blocking,
 * close-on-exec descriptor of ours.
 */
#pragma once
#include "base/list.h"
#include "fetch/address.h"
#include "fetch/fetch.h"
#include "loop/loop.h"

#include <curl/curl.h>

struct dialler;

/* Once a process: what fetch_prepare says of connections. */
MUST_USE int dial_prepare(struct err *e);

MUST_USE int dialler_new(struct loop *l, struct dialler **ret, struct err *e);
void dialler_free(struct dialler *d); /* all dials have ended or been cancelled */
DEFINE_AUTO(dialler)

struct dial_result {
    enum fetch_fault fault; /* FETCH_OK, REFUSED, TIMEOUT or OVERLOADED */
    const char *detail;     /* a sentence, with a fault; valid during the call */
    int fd;                 /* with FETCH_OK: the owner's now; else -1 */
};

enum { DIAL_DETAIL_BYTES = 128 };

/* One attempt; lives inside its owner, who fills the first five fields. */
struct dial {
    const struct fetch_address *at; /* the owner's, until the end; all with the same port */
    size_t count;
    const struct fetch_proxy *proxy;     /* `at` is this one's; NULL: the origin's own.  Read by dial_start */
    const struct http_authority *origin; /* with a proxy: where it is asked to lead.  Read by dial_start */
    void (*connected)(struct dial *d, const struct dial_result *result);

    struct dialler *dialler;
    CURL *easy;
    struct curl_slist *resolve;
    int open_errno; /* why the last socket could not be made */
    bool proxied;
    char detail[DIAL_DETAIL_BYTES];
};

/* Calls `connected` once, from the loop, never from within this call.  -1 without memory. */
MUST_USE int dial_start(struct dialler *dialler, struct dial *d, int64_t timeout_ns);
/* `connected` will not be called.  Not for a dial that is over. */
void dial_cancel(struct dial *d);
