#include "sandbox/inner.h"

#include "base/sanitized.h"
#include "base/version.h"
#include "sandbox/agent_filter.h"
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SETUP_TIMEOUT_MS = 60000, SETUP_FDS = 4 };

/* --- what the supervisor says --- */

struct texts {
    char *at, *end;
};

static char *next_text(struct texts *t)
{
    char *text = t->at;
    if (t->at >= t->end)
        return NULL;
    t->at += strlen(t->at) + 1;
    return text;
}

static char **next_list(struct texts *t, uint32_t count)
{
    if (count > JAIL_STRINGS_MAX)
        return NULL;
    char **list = calloc(count + 1, sizeof *list);
    for (uint32_t i = 0; list && i < count; i++)
        if (!(list[i] = next_text(t))) {
            free(list);
            return NULL;
        }
    return list;
}

static int map_texts(struct inner *in, int fd, struct err *e)
{
    const struct jail_setup *s = &in->setup;
    if (s->bytes == 0 || s->bytes > JAIL_TEXTS_MAX)
        return err_set(e, "the command's arguments and environment are too long");
    in->texts = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (in->texts == MAP_FAILED)
        return err_sys(e, "cannot read what to do");
    struct texts t = {in->texts, in->texts + s->bytes};
    if (in->texts[s->bytes - 1] != '\0')
        return err_set(e, "what to do is cut off");
    in->path = next_text(&t);
    in->directory = next_text(&t);
    in->arguments = next_list(&t, s->arguments);
    in->environment = next_list(&t, s->environment);
    in->write = next_list(&t, s->write);
    bool whole = in->path && in->directory && in->arguments && in->environment && in->write && t.at == t.end;
    return whole && s->arguments > 0 ? 0 : err_set(e, "what to do is cut off");
}

int inner_receive(struct inner *in, struct err *e)
{
    struct jail_packet p;
    if (jail_receive(in->control, SETUP_TIMEOUT_MS, &p, e) != JAIL_GOT)
        return err_set(e, "nobody says what to do");
    if (p.type != JAIL_SETUP || p.fd_count != SETUP_FDS || strcmp(p.setup.version, version_text()) != 0) {
        jail_packet_close(&p);
        return err_set(e, "this program is of another version than the one that started it");
    }
    in->setup = p.setup;
    memcpy(in->stdio, p.fds + 1, sizeof in->stdio);
    for (size_t i = 0; i < ARRAY_LEN(in->stdio); i++)
        if (in->instead[i] >= 0 && dup3(in->instead[i], in->stdio[i], O_CLOEXEC) < 0)
            return err_sys(e, "standard descriptors");
    int result = map_texts(in, p.fds[0], e);
    close(p.fds[0]);
    return result;
}

/* --- the steps --- */

/* The supervisor's death is our own, also when it came before we could ask for the signal: then the socket
 * has ended, and we wait on that. */
static int jail_step_hide(struct inner *in UNUSED, struct err *e)
{
    if (prctl(PR_SET_DUMPABLE, SANITIZED) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_sys(e, "prctl");
    return 0;
}

/* In the jail's own /dev/pts, so that its path is right inside (ttyname(3)) and nothing of the host's
 * terminal comes in. */
static int open_terminal(struct inner *in)
{
    int unlock = 0;
    in->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (in->master < 0 || ioctl(in->master, TIOCSPTLCK, &unlock) < 0)
        return -1;
    in->slave = ioctl(in->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (in->slave < 0 || tcsetattr(in->slave, TCSANOW, &in->setup.modes) < 0 ||
        ioctl(in->slave, TIOCSWINSZ, &in->setup.size) < 0)
        return -1;
    return ioctl(in->slave, TIOCSCTTY, 0);
}

/* A session of its own in any case: the host's terminal is out of reach (setsid(2)). */
static int jail_step_terminal(struct inner *in, struct err *e)
{
    if (setsid() < 0 && getsid(0) != getpid())
        return err_sys(e, "no session");
    if (in->setup.terminals == 0)
        return 0;
    if (open_terminal(in) < 0)
        return err_sys(e, "/dev/ptmx");
    for (unsigned i = 0; i < ARRAY_LEN(in->stdio); i++)
        if (in->setup.terminals & 1u << i) {
            close(in->stdio[i]);
            in->stdio[i] = fcntl(in->slave, F_DUPFD_CLOEXEC, 3);
            if (in->stdio[i] < 0)
                return err_sys(e, "the terminal");
        }
    return 0;
}

static rlim_t lower(rlim_t have, rlim_t want)
{
    return have == RLIM_INFINITY || have > want ? want : have;
}

static int jail_step_limits(struct inner *in UNUSED, struct err *e)
{
    static const struct {
        int resource;
        const char *name;
        rlim_t soft, hard;
    } limits[] = {
#define LIMIT(resource, soft, hard, why) {RLIMIT_##resource, #resource, (soft), (hard)},
#include "sandbox/jail_limits.def"
#undef LIMIT
    };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct rlimit now;
        if (getrlimit(limits[i].resource, &now) < 0)
            return err_sys(e, "%s", limits[i].name);
        now.rlim_max = lower(now.rlim_max, limits[i].hard);
        now.rlim_cur = lower(now.rlim_cur, lower(now.rlim_max, limits[i].soft));
        if (setrlimit(limits[i].resource, &now) < 0)
            return err_sys(e, "%s", limits[i].name);
    }
    return 0;
}

static int jail_step_landlock(struct inner *in, struct err *e)
{
    const struct landlock_agent agent = {.write = (const char *const *)in->write,
                                         .write_count = in->setup.write,
                                         .fds = in->stdio,
                                         .fd_count = ARRAY_LEN(in->stdio)};
    long abi = landlock_abi(e);
    if (abi < 0)
        return -1;
    if (abi > in->setup.landlock)
        abi = in->setup.landlock;
    if (abi < LANDLOCK_AGENT_LEAST_ABI)
        return 0;
    in->rules = landlock_agent_rules(abi, &agent, e);
    in->abi = (int32_t)abi;
    return in->rules < 0 ? -1 : 0;
}

/* Without a domain of its own the command could trace pid 1's other children, and they it. */
static int jail_step_seccomp(struct inner *in, struct err *e)
{
    return agent_filter_apply(in->setup.debug && in->rules >= 0) < 0 ? err_sys(e, "seccomp") : 0;
}

static const struct {
    enum jail_step step;
    int (*run)(struct inner *in, struct err *e);
} steps[] = {
    {JAIL_STEP_hide, jail_step_hide},       {JAIL_STEP_terminal, jail_step_terminal},
    {JAIL_STEP_limits, jail_step_limits},   {JAIL_STEP_landlock, jail_step_landlock},
    {JAIL_STEP_seccomp, jail_step_seccomp},
};

int inner_set_up(struct inner *in, enum jail_step *ret_step, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        *ret_step = steps[i].step;
        if (jail_test_failure(in->setup.fail, steps[i].step, e) < 0 || steps[i].run(in, e) < 0)
            return -1;
    }
    return 0;
}
