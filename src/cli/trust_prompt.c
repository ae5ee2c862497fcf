#include "cli/trust_prompt.h"

#include "base/io.h"
#include "base/printable.h"
#include "policy/diff.h"
#include "policy/show.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 32 << 20, ANSWER_BYTES = 16 };

/* --- what is shown --- */

/* With the texts that were trusted, and the presets of today. */
static int compile_before(const struct project_policy *p, const struct trust_record *before, struct policy **ret)
{
    const struct texts_source from = {.given = before->files, .given_count = before->count, .only_given = true};
    struct project_policy old = {
        .project = p->project, .name = p->name, .files = before->files, .file_count = before->count};
    struct err e;
    if (texts_new(&from, &old.texts, &e) < 0)
        return -1;
    int result = project_policy_compile(&old, NULL, NULL, NULL, ret);
    texts_free(old.texts);
    return result;
}

struct listing {
    struct buf *out;
    size_t count;
};

static int list_change(void *arg, const struct diff_change *c)
{
    struct listing *l = arg;
    l->count++;
    if (buf_append(l->out, c->opens ? SLICE("! ") : SLICE("  ")) < 0 || diff_line(c, l->out) < 0 ||
        buf_append(l->out, SLICE("\n")) < 0)
        return -1;
    return c->kind == DIFF_NEW ? diff_rule(c->after, l->out) : 0;
}

static int describe_change(const struct policy *old, const struct policy *new, const char *time, struct buf *out)
{
    struct listing l = {.out = out};
    if (buf_printf(out, "changed since it was trusted at %s (\"!\": opens more than before):\n", time) < 0 ||
        policy_diff(old, new, list_change, &l) < 0)
        return -1;
    if (l.count == 0 && buf_append(out, SLICE("  nothing in what it allows or denies\n")) < 0)
        return -1;
    return buf_append(out, SLICE("now: ")) < 0 || show_summary(new, out) < 0 ? -1 : buf_append(out, SLICE("\n"));
}

int trust_describe(const struct project_policy *p, const struct trust_record *before, struct buf *out)
{
    AUTO_BUF raw = BUF_INIT(TEXT_BYTES);
    AUTO(policy) *old = NULL;
    AUTO(policy) *new = NULL;
    if (project_policy_compile(p, NULL, project_print_problem, NULL, &new) < 0)
        return -1;
    /* An older version's policy may no longer load: then all of the new one is shown. */
    if (before && compile_before(p, before, &old) < 0)
        old = NULL;
    int result = old ? describe_change(old, new, before->time, &raw) : show_text(new, &raw);
    return result < 0 ? -1 : printable_lines(out, buf_slice(&raw));
}

/* --- asking --- */

/* In the background reading would stop us (SIGTTIN). */
static int open_terminal(void)
{
    if (!isatty(STDIN_FILENO) && !isatty(STDERR_FILENO))
        return -1;
    AUTO_FD int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || tcgetpgrp(fd) != getpgrp())
        return -1;
    return TAKE_FD(fd);
}

/* A terminal gives a line at a time; only `y` and `yes` say yes, and all of a longer line is taken. */
static bool read_yes(int fd)
{
    char line[ANSWER_BYTES];
    size_t len = 0;
    for (;;) {
        char c;
        ssize_t n = read(fd, &c, 1);
        if (n <= 0)
            return false;
        if (c == '\n')
            break;
        if (len < sizeof line)
            line[len] = c;
        len++;
    }
    struct slice answer = slice_trim(slice_of(line, len < sizeof line ? len : sizeof line));
    return len < sizeof line && (slice_eq_nocase(answer, SLICE("y")) || slice_eq_nocase(answer, SLICE("yes")));
}

enum trust_answer trust_ask(const char *text, const char *question)
{
    AUTO_FD int fd = open_terminal();
    if (fd < 0)
        return TRUST_NO_TERMINAL;
    if (io_write_all(fd, slice_str(text)) < 0 || io_write_all(fd, slice_str(question)) < 0 ||
        io_write_all(fd, SLICE(" [y/N] ")) < 0)
        return TRUST_NO;
    return read_yes(fd) ? TRUST_YES : TRUST_NO;
}
