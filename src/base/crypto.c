#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>

/* EVP_MD_fetch costs more than hashing a record: it is done once, the contexts once a thread. */
static EVP_MD *sha256;
static pthread_key_t context_key;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static void free_context(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void prepare(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (pthread_key_create(&context_key, free_context) != 0)
        sha256 = NULL;
}

static EVP_MD_CTX *thread_context(void)
{
    EVP_MD_CTX *ctx = pthread_getspecific(context_key);
    if (ctx)
        return ctx;
    ctx = EVP_MD_CTX_new();
    if (ctx && pthread_setspecific(context_key, ctx) != 0) {
        EVP_MD_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

int crypto_sha256(struct slice in, uint8_t ret_digest[SHA256_BYTES])
{
    pthread_once(&prepared, prepare);
    EVP_MD_CTX *ctx = sha256 ? thread_context() : NULL;
    if (!ctx || EVP_DigestInit_ex2(ctx, sha256, NULL) != 1 || EVP_DigestUpdate(ctx, in.ptr, in.len) != 1 ||
        EVP_DigestFinal_ex(ctx, ret_digest, NULL) != 1)
        return -1;
    return 0;
}

void crypto_hex(const uint8_t *bytes, size_t len, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * len] = '\0';
}

int crypto_random(void *ret, size_t len)
{
    return RAND_bytes(ret, (int)len) == 1 ? 0 : -1;
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void crypto_wipe(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t padding(struct slice in)
{
    if (in.len == 0 || in.ptr[in.len - 1] != '=')
        return 0;
    return in.ptr[in.len - 2] == '=' ? 2 : 1;
}

int crypto_base64_decode(struct slice in, char *ret, size_t *ret_len)
{
    if (in.len % 4 != 0)
        return -1;
    size_t pad = padding(in), digits = in.len - pad, out = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < digits; i++) {
        int digit = base64_digit(in.ptr[i]);
        if (digit < 0)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 0)
            ret[out++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    if (pad && (bits & (pad == 2 ? 15 : 3)) != 0)
        return -1; /* RFC 4648 3.5: the unused bits are zero, or two texts would mean one secret */
    *ret_len = out;
    return 0;
}
