/* What the configurations of package managers say, in machines that tests/cases/registries make up:
 *
 *     tool pip
 *     environment PIP_INDEX_URL=https://packages.corp.example/simple
 *     == home/.config/pip/pip.conf
 *     [global]
 *     == expected
 *     https://packages.corp.example (environment: PIP_INDEX_URL)
 *
 * "#" begins a comment above the first file.  Below `expected` stand the lines that are found, or `error:
 * TEXT`. */
#include "app/folders.h"
#include "app/registries.h"
#include "base/io.h"
#include "case_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { VARIABLES_MAX = 8, PATH_BYTES = 512 };

struct machine {
    char folder[64], home[PATH_BYTES], root[PATH_BYTES];
    char *variables[VARIABLES_MAX + 1];
    size_t count;
    struct slice tool, expected;
};

static struct slice next_line(struct slice *rest)
{
    struct slice line = slice_of(NULL, 0);
    if (!slice_next(rest, '\n', &line))
        return slice_of(NULL, 0);
    return line;
}

/* What stands above the first file. */
static void read_settings(struct machine *m, struct slice *rest)
{
    while (rest->len && !slice_starts(*rest, SLICE("== "))) {
        struct slice line = next_line(rest);
        if (slice_starts(line, SLICE("tool "))) {
            m->tool = slice_skip(line, 5);
        } else if (slice_starts(line, SLICE("environment "))) {
            assert_true(m->count < VARIABLES_MAX);
            m->variables[m->count++] = slice_dup(slice_skip(line, 12));
        } else {
            assert_true(line.len == 0 || line.ptr[0] == '#');
        }
    }
}

/* The text up to the next "== " at the start of a line. */
static struct slice read_section(struct slice *rest)
{
    const char *start = rest->ptr;
    while (rest->len && !slice_starts(*rest, SLICE("== ")))
        (void)next_line(rest);
    return slice_of(start, rest->len ? (size_t)(rest->ptr - start) : strlen(start));
}

static void write_file(const struct machine *m, struct slice name, struct slice text)
{
    char path[PATH_BYTES];
    struct err e = {0};
    const char *unused;
    int n = snprintf(path, sizeof path, "%s/%.*s", m->folder, SLICE_FMT(name));
    assert_true(n > 0 && (size_t)n < sizeof path);
    int folder = folders_open_parent(path, &unused, &e);
    if (folder < 0 || io_replace_file(path, text, 0600, &e) < 0)
        fail_msg("%s", e.text);
    close(folder);
}

static void make(struct machine *m, struct slice text)
{
    snprintf(m->folder, sizeof m->folder, "/tmp/test-registries-XXXXXX");
    assert_non_null(mkdtemp(m->folder));
    snprintf(m->home, sizeof m->home, "%s/home", m->folder);
    snprintf(m->root, sizeof m->root, "%s/root", m->folder);
    read_settings(m, &text);
    while (text.len) {
        struct slice name = slice_skip(next_line(&text), 3), content = read_section(&text);
        if (slice_eq(name, SLICE("expected")))
            m->expected = content;
        else
            write_file(m, name, content);
    }
}

static void unmake(struct machine *m)
{
    char command[128];
    for (size_t i = 0; i < m->count; i++)
        free(m->variables[i]);
    snprintf(command, sizeof command, "rm -rf '%s'", m->folder);
    assert_int_equal(system(command), 0);
}

static void print(const struct registries *found, struct buf *out)
{
    for (size_t i = 0; i < found->count; i++)
        assert_int_equal(buf_printf(out, "%s (%s)\n", found->at[i].url, found->at[i].where), 0);
}

static void the_tool_is_understood(void **state)
{
    AUTO_BUF text = BUF_INIT(CASE_FILE_BYTES), got = BUF_INIT(CASE_FILE_BYTES);
    AUTO(registries) *found = NULL;
    struct machine m = {0};
    struct err e = {0};
    case_read(*state, NULL, &text);
    assert_non_null(buf_cstr(&text));
    make(&m, buf_slice(&text));
    struct registries_world world = {m.root, m.home, (const char *const *)m.variables};
    if (registries_find(&world, m.tool, &found, &e) == 0)
        print(found, &got);
    else
        assert_int_equal(buf_printf(&got, "error: %s\n", e.text), 0);
    if (!slice_eq(buf_slice(&got), m.expected))
        fail_msg("got:\n%.*sexpected:\n%.*s", SLICE_FMT(buf_slice(&got)), SLICE_FMT(m.expected));
    assert_true(buf_len(&got) == 0 || !memmem(got.data, buf_len(&got), "s3cret", 6));
    unmake(&m);
}

int main(void)
{
    return case_run_all("registries", 30, the_tool_is_understood);
}
