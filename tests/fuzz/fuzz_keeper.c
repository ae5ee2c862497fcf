/* Messages between proxy and keeper from arbitrary bytes.
 *
 * What must hold: decoding never reads outside the message, what was accepted encodes to the same bytes (so
 * there is one form of each message), and a name that the keeper would sign is canonical: no byte in it could
 * end it, widen it or hide another one. */
#include "tls/keeper.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void must_encode_to(struct slice message, const uint8_t *encoded, ssize_t len)
{
    must(len >= 0 && slice_eq(message, slice_of((const char *)encoded, (size_t)len)));
}

static void must_be_harmless(struct slice name)
{
    must(name.len >= 1 && name.len <= 253);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        must((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
             c == ':');
    }
}

/* A claim that the keeper would sign is one whole: no line end in it could make two of the text that is signed. */
static void try_seal(struct slice message, uint32_t id, struct slice data)
{
    struct seal claim;
    uint8_t encoded[KEEPER_MESSAGE_BYTES];
    if (keeper_decode_claim(data, &claim) < 0)
        return;
    must(seal_is_claim(&claim) && strpbrk(claim.chain, "\n ") == NULL);
    must_encode_to(message, encoded, keeper_encode_seal(id, &claim, encoded));
}

static void try_request(struct slice message)
{
    struct keeper_request r;
    uint8_t encoded[KEEPER_MESSAGE_BYTES];
    if (keeper_decode_request(message, &r) < 0)
        return;
    switch (r.op) {
    case KEEPER_HELLO:
        must_encode_to(message, encoded, keeper_encode_hello(r.data, encoded));
        return;
    case KEEPER_SIGN:
        must_encode_to(message, encoded, keeper_encode_sign(r.id, r.data, encoded));
        if (ca_can_mint(r.data))
            must_be_harmless(r.data);
        return;
    case KEEPER_CA:
        must_encode_to(message, encoded, keeper_encode_ca(r.id, encoded));
        return;
    case KEEPER_SEAL:
        try_seal(message, r.id, r.data);
        return;
    }
    must(false);
}

static void try_reply(struct slice message)
{
    struct keeper_reply r;
    uint8_t encoded[KEEPER_MESSAGE_BYTES];
    if (keeper_decode_reply(message, &r) == 0)
        must_encode_to(message, encoded, keeper_encode_reply(&r, encoded));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice message = slice_of((const char *)data, size);
    try_request(message);
    try_reply(message);
    return 0;
}
