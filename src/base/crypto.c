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

static int hex_digit(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int crypto_unhex(struct slice hex, uint8_t *ret, size_t len)
{
    if (hex.len != 2 * len)
        return -1;
    for (size_t i = 0; i < hex.len; i++)
        if (hex_digit(hex.ptr[i]) < 0)
            return -1;
    for (size_t i = 0; i < len; i++)
        ret[i] = (uint8_t)(hex_digit(hex.ptr[2 * i]) << 4 | hex_digit(hex.ptr[2 * i + 1]));
    return 0;
}

static int sign(EVP_PKEY *pair, struct slice text, uint8_t *ret_key, uint8_t *ret_signature)
{
    size_t key_len = ED25519_KEY_BYTES, len = ED25519_SIGNATURE_BYTES;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int result = -1;
    if (ctx && EVP_PKEY_get_raw_public_key(pair, ret_key, &key_len) == 1 &&
        EVP_DigestSignInit(ctx, NULL, NULL, NULL, pair) == 1 &&
        EVP_DigestSign(ctx, ret_signature, &len, (const unsigned char *)text.ptr, text.len) == 1)
        result = 0;
    EVP_MD_CTX_free(ctx);
    return result;
}

int crypto_ed25519_sign(const uint8_t seed[ED25519_KEY_BYTES], struct slice text, uint8_t ret_key[ED25519_KEY_BYTES],
                        uint8_t ret_signature[ED25519_SIGNATURE_BYTES])
{
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_KEY_BYTES);
    int result = pair ? sign(pair, text, ret_key, ret_signature) : -1;
    EVP_PKEY_free(pair);
    return result;
}

bool crypto_ed25519_verify(const uint8_t key[ED25519_KEY_BYTES], struct slice text,
                           const uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    EVP_PKEY *public_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, ED25519_KEY_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool holds = public_key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public_key) == 1 &&
                 EVP_DigestVerify(ctx, signature, ED25519_SIGNATURE_BYTES, (const unsigned char *)text.ptr,
                                  text.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(public_key);
    return holds;
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
