#include "app/budget_store.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sparse: a counter costs memory when something counts in it. */
enum { COUNTERS = 8192, TEXT_BYTES = 64 << 20, CLOCK_SAVES = 60 };
#define FILE_NAME "budgets"

struct budget_memory {
    void *at;
    size_t size;
    struct budgets *budgets;
};

struct budget_store {
    int fd;
    struct budget_memory *memory;
    char path[PATH_MAX];         /* "": nothing is kept */
    uint8_t saved[SHA256_BYTES]; /* of the counters in the file */
    unsigned unchanged;          /* seconds since then */
    bool failing;
};

/* --- memory --- */

/* A memfd is a file to RLIMIT_FSIZE: a larger ftruncate would be a SIGXFSZ. */
static size_t size_allowed(void)
{
    struct rlimit limit;
    size_t size = budgets_bytes(COUNTERS);
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= size)
        return size;
    return limit.rlim_cur < budgets_bytes(1) ? budgets_bytes(1) : (size_t)limit.rlim_cur;
}

static int create_memory(struct err *e)
{
    AUTO_FD int fd = memfd_create("exeat-budgets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)size_allowed()) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return err_sys(e, "budgets: cannot make a memfd");
    return TAKE_FD(fd);
}

int budget_memory_map(int fd, struct budget_memory **ret, struct err *e)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "budgets: not a memfd");
    if (!(seals & F_SEAL_SHRINK) || st.st_size <= 0)
        return err_set(e, "budgets: not memory that this program made");
    AUTO(budget_memory) *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, "budgets: no memory");
    m->size = (size_t)st.st_size;
    m->at = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m->at == MAP_FAILED) {
        m->at = NULL;
        return err_sys(e, "budgets: cannot map them");
    }
    if (budgets_attach(m->at, m->size, &m->budgets, e) < 0)
        return -1;
    *ret = TAKE(m);
    return 0;
}

void budget_memory_free(struct budget_memory *m)
{
    if (!m)
        return;
    budgets_free(m->budgets);
    if (m->at)
        munmap(m->at, m->size);
    free(m);
}

struct budgets *budget_memory_budgets(struct budget_memory *m)
{
    return m->budgets;
}

/* --- file --- */

static int read_saved(struct budget_store *s, struct err *e)
{
    AUTO_BUF text = BUF_INIT(TEXT_BYTES);
    int64_t wall = clock_wall_ms(), mono = clock_mono_ns();
    budgets_set_clock(s->memory->budgets, wall, mono);
    if (!s->path[0] || (access(s->path, F_OK) < 0 && errno == ENOENT))
        return 0;
    if (io_read_file(s->path, &text, e) < 0)
        return -1;
    if (budgets_read(s->memory->budgets, buf_slice(&text), wall, mono, e) < 0)
        return err_wrap(e, "%s (what was spent is not known; removing the file begins all budgets anew)",
                        s->path);
    return 0;
}

int budget_store_open(const char *folder, struct budget_store **ret, struct err *e)
{
    AUTO(budget_store) *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, "budgets: no memory");
    s->fd = create_memory(e);
    if (s->fd < 0 || budget_memory_map(s->fd, &s->memory, e) < 0)
        return -1;
    int n = folder ? snprintf(s->path, sizeof s->path, "%s/" FILE_NAME, folder) : 0;
    if (n < 0 || (size_t)n >= sizeof s->path)
        return err_set(e, "%s: path too long", folder);
    if (read_saved(s, e) < 0)
        return -1;
    *ret = TAKE(s);
    return 0;
}

void budget_store_free(struct budget_store *s)
{
    if (!s)
        return;
    budget_memory_free(s->memory);
    fd_auto_close(&s->fd);
    free(s);
}

int budget_store_fd(const struct budget_store *s)
{
    return s->fd;
}

/* The clock's own line is different each time: what counts is what follows. */
static int hash_counters(struct slice text, uint8_t ret[SHA256_BYTES])
{
    struct slice line;
    for (int i = 0; i < 2; i++)
        if (!slice_next(&text, '\n', &line))
            return -1;
    ptrdiff_t sum = (ptrdiff_t)text.len - (SHA256_HEX + 5); /* "sum ", the hash, a newline */
    return sum < 0 ? -1 : crypto_sha256(slice_first(text, (size_t)sum), ret);
}

static int save(struct budget_store *s, bool last, struct err *e)
{
    AUTO_BUF text = BUF_INIT(TEXT_BYTES);
    struct budgets *b = s->memory->budgets;
    uint8_t now[SHA256_BYTES];
    if (budgets_write(b, budgets_now(b, clock_mono_ns()), clock_wall_ms(), &text) < 0 ||
        hash_counters(buf_slice(&text), now) < 0)
        return err_set(e, "%s: more than can be kept", s->path);
    bool same = memcmp(now, s->saved, sizeof now) == 0 && !s->failing;
    if (same && !last && ++s->unchanged < CLOCK_SAVES)
        return 0;
    if (io_replace_file(s->path, buf_slice(&text), 0600, e) < 0)
        return -1;
    memcpy(s->saved, now, sizeof now);
    s->unchanged = 0;
    return 0;
}

void budget_store_save(struct budget_store *s, bool last)
{
    struct err e = {0};
    if (!s || !s->path[0])
        return;
    bool failed = save(s, last, &e) < 0;
    if (failed && !s->failing)
        log_error("what was spent of budgets cannot be kept for the next start: %s", e.text);
    s->failing = failed;
}
