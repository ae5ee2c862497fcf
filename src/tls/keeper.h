/* The keeper: the process that holds the CA key.  It signs host certificates and hands out nothing else.
 *
 * One SOCK_SEQPACKET socket a proxy worker, one message a question, one a reply, in order of arrival.
 * This header has the wire format (both sides), and the service loop of the keeper process.  The
 * client's side of the socket is the caller's (proxy/), non-blocking.
 *
 * Wire format, the same both ways, numbers big-endian:
 *
 *     0      1         2          4        8
 *     | op   | version | length   | id     | data (length bytes, to the end of the message) |
 *       or status
 *
 * A message whose length is not exactly that of its data is malformed.
 */
#pragma once
#include "base/seal.h"
#include "tls/ca.h"

#include <sys/types.h>

enum keeper_op {
    KEEPER_HELLO = 1, /* once, first: the public half of the leaf key; no reply but the status */
    KEEPER_SIGN = 2,  /* one host certificate for one name or address */
    KEEPER_CA = 3,    /* the CA certificate, PEM: public, so also before HELLO */
    KEEPER_SEAL = 4,  /* a seal of the audit log (base/seal.h); also before HELLO */
};

enum keeper_status {
    KEEPER_OK,
    KEEPER_BAD_REQUEST, /* malformed, no canonical name, not introduced or introduced otherwise, unknown op */
    KEEPER_RATE,        /* more new names, or seals, than the limit allows */
    KEEPER_FAILED,      /* signing failed */
};

enum { KEEPER_MESSAGE_BYTES = 8192 };

/* Each returns the length of the message written to ret (KEEPER_MESSAGE_BYTES), or -1. */
MUST_USE ssize_t keeper_encode_hello(struct slice leaf_public, uint8_t *ret);
MUST_USE ssize_t keeper_encode_sign(uint32_t id, struct slice name, uint8_t *ret);
MUST_USE ssize_t keeper_encode_ca(uint32_t id, uint8_t *ret);
/* chain, seq and hash of the claim; the answer's data fills in the rest. */
MUST_USE ssize_t keeper_encode_seal(uint32_t id, const struct seal *claim, uint8_t *ret);
MUST_USE int keeper_decode_seal(struct slice data, struct seal *claim);

struct keeper_reply {
    uint32_t id; /* of the question; 0 for hello and for questions too broken to have one */
    enum keeper_status status;
    struct slice data; /* DER certificate or PEM text, inside the message */
};
MUST_USE int keeper_decode_reply(struct slice message, struct keeper_reply *ret);

/* The keeper's own side of the format; hostile input.  -1 for anything but a well-formed question. */
struct keeper_request {
    uint32_t id;
    enum keeper_op op;
    struct slice data; /* public key, name or claim, inside the message */
};
/* Of KEEPER_SEAL: the claim of a question, and the data of its answer (KEEPER_SEALED_BYTES). */
enum { KEEPER_SEALED_BYTES = 8 + ED25519_KEY_BYTES + ED25519_SIGNATURE_BYTES };
MUST_USE int keeper_decode_claim(struct slice data, struct seal *ret);
void keeper_encode_sealed(const struct seal *s, uint8_t ret[KEEPER_SEALED_BYTES]);
MUST_USE int keeper_decode_request(struct slice message, struct keeper_request *ret);
/* As the other encoders; -1 where data does not fit. */
MUST_USE ssize_t keeper_encode_reply(const struct keeper_reply *reply, uint8_t *ret);

/* Answers on the given sockets (poll(2), single-threaded) until all are closed by their peers: the keeper's
 * only work.  The sockets stay the caller's.  A peer that does not read its replies is not read from either,
 * and delays nobody else.
 *
 * Rate limit, over all sockets: `per_second` new certificates with a burst of ten times that; 0 is no limit.
 * Seals have a limit of their own. */
MUST_USE int keeper_serve(struct ca *ca, const int *sockets, size_t count, unsigned per_second,
                          struct err *e);
