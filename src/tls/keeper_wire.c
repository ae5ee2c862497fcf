/* The format of messages between proxy and keeper: keeper_encode_* and keeper_decode_* of tls/keeper.h. */
#include "tls/keeper.h"

enum { HEAD_BYTES = 8, WIRE_VERSION = 1 };

struct message {
    uint8_t code; /* op or status */
    uint32_t id;
    struct slice data;
};

static ssize_t encode(const struct message *m, uint8_t *ret)
{
    if (m->data.len > KEEPER_MESSAGE_BYTES - HEAD_BYTES)
        return -1;
    ret[0] = m->code;
    ret[1] = WIRE_VERSION;
    ret[2] = (uint8_t)(m->data.len >> 8);
    ret[3] = (uint8_t)m->data.len;
    for (int i = 0; i < 4; i++)
        ret[4 + i] = (uint8_t)(m->id >> (24 - 8 * i));
    if (m->data.len)
        memcpy(ret + HEAD_BYTES, m->data.ptr, m->data.len);
    return (ssize_t)(HEAD_BYTES + m->data.len);
}

static int decode(struct slice in, struct message *ret)
{
    const uint8_t *head = (const uint8_t *)in.ptr;
    if (in.len < HEAD_BYTES || in.len > KEEPER_MESSAGE_BYTES || head[1] != WIRE_VERSION ||
        (size_t)(head[2] << 8 | head[3]) != in.len - HEAD_BYTES)
        return -1;
    struct message m = {.code = head[0], .data = slice_skip(in, HEAD_BYTES)};
    for (int i = 0; i < 4; i++)
        m.id = m.id << 8 | head[4 + i];
    *ret = m;
    return 0;
}

ssize_t keeper_encode_hello(struct slice leaf_public, uint8_t *ret)
{
    return encode(&(struct message){.code = KEEPER_HELLO, .data = leaf_public}, ret);
}

ssize_t keeper_encode_sign(uint32_t id, struct slice name, uint8_t *ret)
{
    return encode(&(struct message){.code = KEEPER_SIGN, .id = id, .data = name}, ret);
}

ssize_t keeper_encode_ca(uint32_t id, uint8_t *ret)
{
    return encode(&(struct message){.code = KEEPER_CA, .id = id}, ret);
}

static void put_u64(uint8_t *at, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(n >> (56 - 8 * i));
}

static uint64_t get_u64(const char *at)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n = n << 8 | (uint8_t)at[i];
    return n;
}

/* seq (8 bytes), hash (64 hexadecimal digits), chain to the end. */
ssize_t keeper_encode_seal(uint32_t id, const struct seal *claim, uint8_t *ret)
{
    uint8_t data[8 + SHA256_HEX + SEAL_CHAIN_BYTES];
    size_t chain = strnlen(claim->chain, sizeof claim->chain);
    if (!seal_is_claim(claim))
        return -1;
    put_u64(data, claim->seq);
    memcpy(data + 8, claim->hash, SHA256_HEX);
    memcpy(data + 8 + SHA256_HEX, claim->chain, chain);
    const struct slice all = slice_of((const char *)data, 8 + SHA256_HEX + chain);
    return encode(&(struct message){.code = KEEPER_SEAL, .id = id, .data = all}, ret);
}

int keeper_decode_claim(struct slice data, struct seal *ret)
{
    struct seal s = {0};
    const size_t before = 8 + SHA256_HEX;
    if (data.len <= before || data.len - before >= sizeof s.chain)
        return -1;
    s.seq = get_u64(data.ptr);
    memcpy(s.hash, data.ptr + 8, SHA256_HEX);
    memcpy(s.chain, data.ptr + before, data.len - before);
    if (strlen(s.chain) != data.len - before || !seal_is_claim(&s))
        return -1;
    *ret = s;
    return 0;
}

void keeper_encode_sealed(const struct seal *s, uint8_t ret[KEEPER_SEALED_BYTES])
{
    put_u64(ret, (uint64_t)s->time_ms);
    memcpy(ret + 8, s->key, sizeof s->key);
    memcpy(ret + 8 + sizeof s->key, s->signature, sizeof s->signature);
}

int keeper_decode_seal(struct slice data, struct seal *claim)
{
    if (data.len != KEEPER_SEALED_BYTES)
        return -1;
    claim->time_ms = (int64_t)get_u64(data.ptr);
    memcpy(claim->key, data.ptr + 8, sizeof claim->key);
    memcpy(claim->signature, data.ptr + 8 + sizeof claim->key, sizeof claim->signature);
    return 0;
}

ssize_t keeper_encode_reply(const struct keeper_reply *reply, uint8_t *ret)
{
    return encode(&(struct message){.code = (uint8_t)reply->status, .id = reply->id, .data = reply->data},
                  ret);
}

int keeper_decode_request(struct slice message, struct keeper_request *ret)
{
    struct message m;
    if (decode(message, &m) < 0 || m.code < KEEPER_HELLO || m.code > KEEPER_SEAL)
        return -1;
    /* Only CA has nothing to say; HELLO is no question and has no number. */
    if ((m.code == KEEPER_CA) != (m.data.len == 0) || (m.code == KEEPER_HELLO && m.id != 0))
        return -1;
    *ret = (struct keeper_request){.id = m.id, .op = (enum keeper_op)m.code, .data = m.data};
    return 0;
}

int keeper_decode_reply(struct slice message, struct keeper_reply *ret)
{
    struct message m;
    if (decode(message, &m) < 0 || m.code > KEEPER_FAILED)
        return -1;
    *ret = (struct keeper_reply){.id = m.id, .status = (enum keeper_status)m.code, .data = m.data};
    return 0;
}
