#include "audit_fixture.h"

#include "audit/verify.h"
#include "base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int audit_fixture_setup(void **state)
{
    struct audit_fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    *state = f;
    snprintf(f->dir, sizeof f->dir, "/tmp/exeat-audit-XXXXXX");
    if (!mkdtemp(f->dir) || (f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return -1;
    f->options = (struct audit_options){.dir_fd = f->dir_fd, .name = "audit.jsonl", .run = "R-1", .keep = 30};
    return 0;
}

int audit_fixture_teardown(void **state)
{
    struct audit_fixture *f = *state;
    DIR *dir = opendir(f->dir);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        unlinkat(f->dir_fd, entry->d_name, 0); /* "." and ".." refuse */
    closedir(dir);
    close(f->dir_fd);
    int result = rmdir(f->dir);
    free(f);
    return result;
}

struct audit_log *fixture_open(struct audit_fixture *f)
{
    struct audit_log *log = NULL;
    struct err e = {0};
    if (audit_open(&f->options, &log, &e) < 0)
        fail_msg("%s", e.text);
    return log;
}

void fixture_open_fails(struct audit_fixture *f, const char *words)
{
    struct audit_log *log = NULL;
    struct err e = {0};
    assert_int_equal(audit_open(&f->options, &log, &e), -1);
    assert_null(log);
    if (!strstr(e.text, words) || !strstr(e.text, f->options.name))
        fail_msg("\"%s\" does not say \"%s\"", e.text, words);
}

void fixture_write(struct audit_log *log, unsigned count)
{
    const struct audit_event ev = {.kind = AUDIT_STOP, .task = "t", .ns = -1};
    while (count-- > 0) {
        struct err e = {0};
        if (audit_write_now(log, &ev, &e) < 0)
            fail_msg("%s", e.text);
    }
}

void fixture_path(const struct audit_fixture *f, const char *name, char ret_path[256])
{
    snprintf(ret_path, 256, "%s/%s", f->dir, name);
}

struct slice fixture_read(const struct audit_fixture *f, const char *name, struct buf *ret)
{
    char path[256];
    struct err e;
    fixture_path(f, name, path);
    *ret = BUF_INIT(FIXTURE_FILE_MAX);
    if (access(path, F_OK) < 0)
        return slice_of("", 0);
    if (io_read_file(path, ret, &e) < 0)
        fail_msg("%s", e.text);
    return buf_slice(ret);
}

void fixture_replace(const struct audit_fixture *f, const char *name, struct slice content)
{
    char path[256];
    struct err e;
    fixture_path(f, name, path);
    if (io_replace_file(path, content, 0600, &e) < 0)
        fail_msg("%s", e.text);
}

unsigned fixture_lines(struct slice text)
{
    unsigned n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

bool fixture_has(struct slice text, const char *words)
{
    return text.len && memmem(text.ptr, text.len, words, strlen(words)) != NULL;
}

const char *fixture_verify(const struct audit_fixture *f)
{
    static char text[1000];
    char path[256];
    struct log_verdict v;
    struct err e = {0};
    AUTO(log_reader) *r = NULL;
    fixture_path(f, "audit.jsonl", path);
    if (log_reader_open(path, &r, &e) < 0 || log_verify(r, 0, "", &(struct verify_keys){0}, &v, &e) < 0)
        fail_msg("%s", e.text);
    if (!v.broken)
        return NULL;
    const char *slash = strrchr(v.place.file, '/');
    snprintf(text, sizeof text, "%s:%" PRIu64 ": %s", slash ? slash + 1 : v.place.file, v.place.line,
             v.problem);
    return text;
}

bool fixture_wait(bool (*is)(void *arg), void *arg)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    for (int i = 0; i < 5000; i++) {
        if (is(arg))
            return true;
        nanosleep(&moment, NULL);
    }
    return false;
}
