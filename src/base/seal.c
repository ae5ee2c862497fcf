#include "base/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES = 256 };

static bool is_chain_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("._-", c));
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool seal_is_claim(const struct seal *s)
{
    size_t chain = strnlen(s->chain, sizeof s->chain);
    if (chain == 0 || chain == sizeof s->chain || s->seq == 0 ||
        strnlen(s->hash, sizeof s->hash) != SHA256_HEX)
        return false;
    for (size_t i = 0; i < chain; i++)
        if (!is_chain_char(s->chain[i]))
            return false;
    for (size_t i = 0; i < SHA256_HEX; i++)
        if (!is_hex(s->hash[i]))
            return false;
    return true;
}

/* No part can hold a newline, so no two seals have one text. */
static struct slice text_of(const struct seal *s, char text[TEXT_BYTES])
{
    int n = snprintf(text, TEXT_BYTES, "exeat seal 1\n%s\n%" PRIu64 "\n%s\n%" PRId64 "\n", s->chain, s->seq,
                     s->hash, s->time_ms);
    return slice_of(text, n > 0 && n < TEXT_BYTES ? (size_t)n : 0);
}

int seal_sign(const uint8_t seed[ED25519_KEY_BYTES], struct seal *s)
{
    char text[TEXT_BYTES];
    return seal_is_claim(s) ? crypto_ed25519_sign(seed, text_of(s, text), s->key, s->signature) : -1;
}

bool seal_holds(const struct seal *s)
{
    char text[TEXT_BYTES];
    return seal_is_claim(s) && crypto_ed25519_verify(s->key, text_of(s, text), s->signature);
}
