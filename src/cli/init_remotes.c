/* Where the repository of a project is, read from git's own files as data (gitrepository-layout(5),
 * git-config(1)). */
#include "cli/init_scan.h"

#include "base/io.h"
#include "http/target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_BYTES = 1 << 20, LINK_BYTES = PATH_MAX };

/* ---- URLs ---- */

/* git@github.com:acme/shop.git, but neither C:\x nor ./a:b nor a URL. */
static bool split_scp(struct slice url, struct slice *ret_host, struct slice *ret_path)
{
    ptrdiff_t colon = slice_find(url, ':'), slash = slice_find(url, '/');
    if (colon <= 1 || (slash >= 0 && slash < colon) || memmem(url.ptr, url.len, "://", 3))
        return false;
    *ret_host = slice_first(url, (size_t)colon);
    *ret_path = slice_skip(url, (size_t)colon + 1);
    return true;
}

/* ssh://git@host:22/path and git://host/path. */
static bool split_ssh(struct slice url, struct slice *ret_host, struct slice *ret_path)
{
    static const char *const schemes[] = {"ssh://", "git+ssh://", "git://"};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!slice_starts(url, slice_str(schemes[i])))
            continue;
        struct slice rest = slice_skip(url, strlen(schemes[i]));
        ptrdiff_t slash = slice_find(rest, '/');
        if (slash < 0)
            return false;
        struct slice host = slice_first(rest, (size_t)slash);
        ptrdiff_t port = slice_find(host, ':');
        *ret_host = port < 0 ? host : slice_first(host, (size_t)port);
        *ret_path = slice_skip(rest, (size_t)slash);
        return true;
    }
    return false;
}

static struct slice without_user(struct slice host)
{
    for (size_t i = host.len; i-- > 0;)
        if (host.ptr[i] == '@')
            return slice_skip(host, i + 1);
    return host;
}

/* The same repository by https.  -1: not on the network. */
static int over_https(struct slice url, struct buf *out, bool *ret_rewritten)
{
    struct slice host, path;
    bool web = slice_starts(url, SLICE("https://")) || slice_starts(url, SLICE("http://"));
    if (web) {
        size_t start = (size_t)slice_find(url, ':') + 3, end = start;
        while (end < url.len && url.ptr[end] != '/')
            end++;
        host = slice_of(url.ptr + start, end - start);
        path = slice_skip(url, end);
        if (buf_append(out, slice_first(url, start)) < 0)
            return -1;
    } else if (split_ssh(url, &host, &path) || split_scp(url, &host, &path)) {
        if (buf_append(out, SLICE("https://")) < 0)
            return -1;
    } else {
        return -1;
    }
    *ret_rewritten = !web;
    while (slice_starts(path, SLICE("/")))
        path = slice_skip(path, 1);
    host = without_user(host);
    return buf_printf(out, "%.*s/%.*s", SLICE_FMT(host), SLICE_FMT(path));
}

/* Without "/" and ".git" at the end. */
static struct slice shorten(struct slice url)
{
    while (slice_ends(url, SLICE("/")))
        url.len--;
    if (slice_ends(url, SLICE(".git")))
        url.len -= 4;
    return url;
}

static int canonical(struct slice url, struct buf *out)
{
    struct arena arena = ARENA_INIT(64 << 10);
    struct http_target t;
    struct http_problem problem;
    int result = http_url_parse(&arena, url, &t, &problem);
    if (result == 0)
        result = t.has_query || t.encoded_slash || t.path.len < 2 || slice_find(t.path, '*') >= 0
                     ? -1
                     : http_target_print(&t, out);
    arena_free(&arena);
    return result;
}

/* What is no URL of a repository on the network is left out. */
static void add_remote(struct slice url, struct scan_remotes *ret)
{
    AUTO_BUF https = BUF_INIT(2 * SCAN_URL_BYTES), text = BUF_INIT(2 * SCAN_URL_BYTES);
    bool rewritten;
    if (over_https(url, &https, &rewritten) < 0 || canonical(buf_slice(&https), &text) < 0)
        return;
    struct slice found = shorten(buf_slice(&text));
    if (found.len >= SCAN_URL_BYTES || ret->count == SCAN_REMOTES)
        return;
    for (size_t i = 0; i < ret->count; i++)
        if (slice_eq(slice_str(ret->at[i].url), found))
            return;
    struct scan_remote *r = &ret->at[ret->count++];
    snprintf(r->url, sizeof r->url, "%.*s", SLICE_FMT(found));
    r->rewritten = rewritten;
}

/* ---- git's configuration ---- */

/* The value as written, without quotes, comment and escapes; -1 where it goes on in the next line or is too
 * long. A URL needs none of these, but may have them. */
static int read_value(struct slice raw, struct buf *out)
{
    bool quoted = false;
    raw = slice_trim(raw);
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '"') {
            quoted = !quoted;
            continue;
        }
        if (!quoted && (c == '#' || c == ';'))
            break;
        if (c == '\\' && ++i == raw.len)
            return -1;
        if (buf_append(out, slice_of(raw.ptr + i, 1)) < 0)
            return -1;
    }
    return quoted ? -1 : 0;
}

/* [remote "origin"]: sections are case-insensitive. */
static bool is_remote_section(struct slice line)
{
    return slice_eq_nocase(slice_first(line, 8), SLICE("[remote ")) ||
           slice_eq_nocase(slice_first(line, 8), SLICE("[remote\t"));
}

void scan_git_config(struct slice text, struct scan_remotes *ret)
{
    struct slice line;
    bool in_remote = false;
    while (slice_next(&text, '\n', &line)) {
        if (slice_ends(line, SLICE("\r")))
            line.len--;
        line = slice_trim(line);
        if (line.len && line.ptr[0] == '[')
            in_remote = is_remote_section(line);
        ptrdiff_t equals = slice_find(line, '=');
        if (!in_remote || equals < 0 ||
            !slice_eq_nocase(slice_trim(slice_first(line, (size_t)equals)), SLICE("url")))
            continue;
        AUTO_BUF value = BUF_INIT(SCAN_URL_BYTES);
        if (read_value(slice_skip(line, (size_t)equals + 1), &value) == 0)
            add_remote(slice_trim(buf_slice(&value)), ret);
    }
}

/* ---- git's files ---- */

/* A regular file below `dir`; 1 where there is none. */
static int read_at(int dir, const char *name, struct buf *out, struct err *e)
{
    struct stat st;
    AUTO_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 1 : err_sys(e, "%s: cannot open", name);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(e, "%s: not a regular file", name);
    return io_read_all(fd, name, out, e);
}

/* The folder that the file `name` below `dir` names, after `mark`; -1 where it names none. */
static int open_named(int dir, const char *name, struct slice mark)
{
    AUTO_BUF text = BUF_INIT(LINK_BYTES);
    struct slice path;
    struct err ignored;
    if (read_at(dir, name, &text, &ignored) != 0)
        return -1;
    struct slice rest = buf_slice(&text);
    if (!slice_next(&rest, '\n', &path) || !slice_starts(path, mark))
        return -1;
    AUTO_STR char *folder = slice_dup(slice_trim(slice_skip(path, mark.len)));
    return folder && *folder ? openat(dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

/* The folder that holds the repository's configuration: .git, or where a linked work tree's .git file leads;
 * -1: none. */
static int open_repository(int dir)
{
    int fd = openat(dir, ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    AUTO_FD int own = open_named(dir, ".git", SLICE("gitdir:"));
    if (own < 0)
        return -1;
    int common = open_named(own, "commondir", SLICE(""));
    return common >= 0 ? common : TAKE_FD(own);
}

int scan_remotes(int dir, struct scan_remotes *ret, struct err *e)
{
    AUTO_BUF text = BUF_INIT(CONFIG_BYTES);
    struct scan_remotes found = {.count = 0};
    AUTO_FD int repository = open_repository(dir);
    if (repository >= 0) {
        int read = read_at(repository, "config", &text, e);
        if (read < 0)
            return err_wrap(e, "git's configuration of this project");
        scan_git_config(buf_slice(&text), &found);
    }
    *ret = found;
    return 0;
}
