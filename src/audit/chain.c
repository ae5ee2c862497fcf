#include "audit/chain.h"

#define LINE_START "{\"v\":1,\"seq\":"
#define LINE_PREV  ",\"prev\":\""
#define LINE_END   "\"}"

void chain_start(struct chain *c)
{
    *c = (struct chain){0};
    memset(c->hash, '0', SHA256_HEX);
}

static char *put(char *at, struct slice s)
{
    memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static char *put_number(char *at, uint64_t n)
{
    char digits[20];
    size_t start = sizeof digits;
    do
        digits[--start] = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    return put(at, slice_of(digits + start, sizeof digits - start));
}

int chain_append(struct chain *c, struct slice body, struct buf *out)
{
    char *line = buf_reserve(out, body.len + CHAIN_OVERHEAD);
    if (!line)
        return -1;
    char *at = put_number(put(line, SLICE(LINE_START)), c->seq + 1);
    at = put(put(at, SLICE(",")), body);
    at = put(put(at, SLICE(LINE_PREV)), slice_of(c->hash, SHA256_HEX));
    at = put(at, SLICE(LINE_END));
    if (chain_hash(slice_of(line, (size_t)(at - line)), c->hash) < 0)
        return -1;
    at = put(at, SLICE("\n"));
    c->seq++;
    buf_commit(out, (size_t)(at - line));
    return 0;
}

int chain_hash(struct slice line, char ret_hash[SHA256_HEX + 1])
{
    uint8_t digest[SHA256_BYTES];
    if (crypto_sha256(line, digest) < 0)
        return -1;
    crypto_hex(digest, sizeof digest, ret_hash);
    return 0;
}

static bool is_hash(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return s.len == SHA256_HEX;
}

int chain_parse(struct slice line, uint64_t *ret_seq, struct slice *ret_prev)
{
    const struct slice start = SLICE(LINE_START), prev = SLICE(LINE_PREV), end = SLICE(LINE_END);
    const size_t tail = prev.len + SHA256_HEX + end.len;
    if (line.len < start.len + tail || !slice_starts(line, start) || !slice_ends(line, end))
        return -1;
    struct slice last = slice_skip(line, line.len - tail);
    struct slice hash = slice_of(last.ptr + prev.len, SHA256_HEX);
    struct slice rest = slice_skip(slice_first(line, line.len - tail), start.len), number;
    if (!slice_starts(last, prev) || !is_hash(hash) || !slice_next(&rest, ',', &number))
        return -1;
    uint64_t seq;
    if (slice_to_u64(number, UINT64_MAX, &seq) < 0 || seq == 0)
        return -1;
    *ret_seq = seq;
    *ret_prev = hash;
    return 0;
}
