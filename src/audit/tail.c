#include "audit/tail.h"

#include "base/caps.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

/* A batch that a crash cut leaves whole lines and half a one; where power failed, also a run of zeros
 * as long as a batch. */
enum { WINDOW_FIRST = 4 * CAP_RECORD_BYTES, WINDOW_MAX = 8 << 20 };

static int read_at(int fd, const char *name, char *to, size_t len, uint64_t offset, struct err *e)
{
    while (len) {
        ssize_t n = pread(fd, to, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, "%s: cannot read", name);
        if (n == 0)
            return err_set(e, "%s: became shorter while it was read", name);
        to += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* Bytes up to and with the last newline. */
static size_t whole_lines(struct slice s)
{
    while (s.len && s.ptr[s.len - 1] != '\n')
        s.len--;
    return s.len;
}

static struct slice cut_last_line(struct slice *lines)
{
    struct slice body = slice_first(*lines, lines->len - 1);
    size_t start = whole_lines(body);
    struct slice line = slice_skip(body, start);
    lines->len = start;
    return line;
}

/* Could these bytes be the beginning of a record that was being written, or a hole? */
static bool may_be_torn(struct slice s)
{
    const struct slice ours = SLICE("{\"v\":1,\"seq\":");
    if (slice_starts(s, ours) || slice_starts(ours, s))
        return true;
    size_t zeros = 0;
    while (zeros < s.len && s.ptr[zeros] == '\0')
        zeros++;
    return zeros == s.len;
}

static int judge_unfinished(const char *name, struct slice s, struct tail *t, struct err *e)
{
    if (s.len == 0)
        return 0;
    if (!may_be_torn(s))
        return err_set(e,
                       "%s: what stands behind its last newline is no piece of a record: "
                       "not a log of exeat, or changed by something else; move it away",
                       name);
    if (chain_hash(s, t->unfinished_hash) < 0)
        return err_set(e, "%s: cannot hash", name);
    t->unfinished = s.len;
    t->start_len = s.len < sizeof t->start ? s.len : sizeof t->start;
    memcpy(t->start, s.ptr, t->start_len);
    return 0;
}

/* The last line, and that it follows from the one before where the window holds that one whole. */
static int judge_last(const char *name, struct slice lines, bool from_start, struct tail *t, struct err *e)
{
    struct slice last = cut_last_line(&lines), prev, ignored;
    uint64_t before_seq = 0;
    if (chain_parse(last, &t->last.seq, &prev) < 0 || chain_hash(last, t->last.hash) < 0)
        return err_set(e,
                       "%s: its last line is no record of exeat; move the file away "
                       "(`exeat log --verify` says more)",
                       name);
    if (lines.len == 0)
        return 0;
    struct slice before = cut_last_line(&lines);
    if (lines.len == 0 && !from_start)
        return 0; /* perhaps only the end of that line */
    char hash[SHA256_HEX + 1];
    if (chain_parse(before, &before_seq, &ignored) < 0 || chain_hash(before, hash) < 0 ||
        before_seq + 1 != t->last.seq || !slice_eq(slice_str(hash), prev))
        return err_set(e,
                       "%s: record %" PRIu64 " does not follow from the line before it: the log was "
                       "changed; move it away (`exeat log --verify` says more)",
                       name, t->last.seq);
    return 0;
}

static int read_first(int fd, const char *name, uint64_t size, uint64_t *ret_seq, struct err *e)
{
    const struct slice ours = SLICE("{\"v\":1,\"seq\":");
    char room[64] = "";
    struct slice line = slice_of(room, size < sizeof room ? (size_t)size : sizeof room), number;
    if (read_at(fd, name, room, line.len, 0, e) < 0)
        return -1;
    struct slice rest = slice_skip(line, ours.len);
    if (!slice_starts(line, ours) || !slice_next(&rest, ',', &number) ||
        slice_to_u64(number, UINT64_MAX, ret_seq) < 0)
        return err_set(e, "%s: its first line is no record of exeat; move the file away", name);
    return 0;
}

static int judge(int fd, const char *name, struct slice window, bool from_start, uint64_t size,
                 struct tail *ret, struct err *e)
{
    struct tail t = {0};
    chain_start(&t.last);
    size_t whole = whole_lines(window);
    if (judge_unfinished(name, slice_skip(window, whole), &t, e) < 0)
        return -1;
    if (whole && (judge_last(name, slice_first(window, whole), from_start, &t, e) < 0 ||
                  read_first(fd, name, size, &t.first_seq, e) < 0))
        return -1;
    *ret = t;
    return 0;
}

int tail_read(int fd, const char *name, uint64_t size, struct tail *ret, struct err *e)
{
    AUTO_BUF room = BUF_INIT(WINDOW_MAX);
    for (size_t want = WINDOW_FIRST; want <= WINDOW_MAX; want *= 4) {
        size_t len = want < size ? want : (size_t)size;
        buf_clear(&room);
        char *at = buf_reserve(&room, len);
        if (!at)
            return err_set(e, "%s: no memory", name);
        if (read_at(fd, name, at, len, size - len, e) < 0)
            return -1;
        struct slice window = slice_of(at, len);
        /* two records must fit beside what is unfinished, or all of the file must be seen */
        if (len == size || whole_lines(window) >= WINDOW_FIRST / 2)
            return judge(fd, name, window, len == size, size, ret, e);
    }
    return err_set(e, "%s: no end of a record in its last %d bytes; move the file away", name,
                   (int)WINDOW_MAX);
}
