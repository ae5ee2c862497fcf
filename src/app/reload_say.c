#include "app/reload_say.h"

#include "base/log.h"
#include "policy/diff.h"

#include <stdarg.h>
#include <stdio.h>

enum { CHANGES_SAID = 40, DROPS_SAID = 100 }; /* a caller's socket holds some 200 lines */

void reload_say(struct reload_socket *to, char level, const char *fmt, ...)
{
    char line[RELOAD_LINE_BYTES - 1];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(line, sizeof line, fmt, ap) < 0)
        line[0] = '\0';
    va_end(ap);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?'; /* names and patterns of a policy: nothing may draw on a terminal */
    if (level == 'e')
        log_error("%s", line);
    else if (level == 'w')
        log_warn("%s", line);
    else
        log_info("%s", line);
    reload_socket_say(to, level, line);
}

struct changes {
    struct reload_socket *to;
    const char *task;
    unsigned count, drops; /* drops: those of them that ask for or forbid less */
};

static unsigned over(unsigned count, unsigned said)
{
    return count > said ? count - said : 0;
}

/* A jail stays as it was made; what connects it with this machine the proxy judges again (proxy/relay.h). */
static const char *when_in_jail(const struct diff_change *c)
{
    bool forwards = strcmp(c->what, "services") == 0 || strcmp(c->what, "publish") == 0;
    return forwards ? " (what has gone ends now, what is new opens at the next run)"
                    : " (takes effect at the next run)";
}

/* Less may be forbidden than before: that deserves more than a line among others, and is not lost behind many
 * others that were put before it. */
static int say_change(void *arg, const struct diff_change *c)
{
    struct changes *w = arg;
    AUTO_BUF line = BUF_INIT(RELOAD_LINE_BYTES);
    w->count++;
    w->drops += c->drops;
    if (c->drops ? w->drops > DROPS_SAID : w->count - w->drops > CHANGES_SAID)
        return 0;
    if (diff_line(c, &line) < 0 || !buf_cstr(&line))
        reload_say(w->to, 'w', "%s: a rule has changed in more words than a line takes", w->task);
    else
        reload_say(w->to, c->drops ? 'w' : 'i', "%s: %s%s", w->task, buf_cstr(&line),
                   c->drops  ? " (less is asked for or forbidden than before)"
                   : c->jail ? when_in_jail(c)
                             : "");
    return 0;
}

void reload_say_policy(struct reload_socket *to, const char *task, const struct policy *old,
                       const struct policy *new)
{
    struct changes w = {.to = to, .task = task};
    if (strcmp(policy_digest(old), policy_digest(new)) == 0)
        return;
    if (policy_diff(old, new, say_change, &w) < 0)
        reload_say(to, 'w', "%s: the policy has changed; too much to say what", task);
    else if (w.count == 0)
        reload_say(to, 'i', "%s: the policy's text has changed, not what it allows or denies", task);
    else if (w.drops > DROPS_SAID || w.count - w.drops > CHANGES_SAID)
        reload_say(to, 'w', "%s: and %u changes more, of which %u ask for or forbid less", task,
                   over(w.drops, DROPS_SAID) + over(w.count - w.drops, CHANGES_SAID), over(w.drops, DROPS_SAID));
}
