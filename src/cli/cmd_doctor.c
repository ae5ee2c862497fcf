/* exeat doctor: starts a jail with a policy that allows nothing, and lets each program that is there ask for
 * a host in it. Exeat's own answer (403) proves that the request was led to it and that its certificate is
 * trusted: nothing else could have answered. */
#include "app/run_walls.h"
#include "base/io.h"
#include "base/json.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_HOST "doctor.exeat.invalid" /* .invalid: nobody's (RFC 6761) */

enum { OUTPUT_BYTES = 1 << 20, SCRIPT_BYTES = 64 << 10, DETAIL_MAX = 300, PATH_BYTES = 64 };

struct doctor_options {
    bool json;
};

static const struct option_row rows[] = {
    OPTION_FLAG(struct doctor_options, json, "json", "one JSON object a program"),
};

static const struct option_usage usage = {
    .synopsis = "exeat doctor [OPTION]...",
    .about =
        "Starts a jail in which nothing is allowed and lets each program that is installed here ask for a host:\n"
        "curl, wget, git, Python, Node, Java, Go, cargo, Chromium.  Says what of a jail's walls this kernel lacks;\n"
        "then for each program whether its request reached exeat, also where it does not heed HTTPS_PROXY,\n"
        "whether it trusts the certificate, and what to do where not.  Nothing is sent anywhere.  Exit status: 0 all is well, 1 a program has a problem, 2 there\n"
        "is no jail on this machine (the message says what it lacks).",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

static const struct program {
    const char *name;
    bool asks_proxy;
    const char *command, *fix;
} programs[] = {
#define PROGRAM(name, asks_proxy, command, fix) {#name, asks_proxy, command, fix},
#include "cli/doctor.def"
#undef PROGRAM
};

/* How a program was asked: with the proxy's variables as `exeat env` sets them, or without. */
enum way { WAY_AS_SET, WAY_CAPTURED, WAY_COUNT };
static const char *const way_names[WAY_COUNT] = {"as set up", "without HTTPS_PROXY"};

struct finding {
    bool asked[WAY_COUNT], good[WAY_COUNT];
    struct slice detail; /* of the first that was not good: the program's last line */
};

/* --- the script for inside --- */

/* A line "name way ok|failed last line" for each program that is there. */
static const char script_head[] =
    "url=https://" TEST_HOST "\n"
    "said() { case $1 in *403*|*host-not-allowed*) echo ok ;; *) echo failed ;; esac; }\n"
    "ask() {\n"
    "    command -v \"$1\" >/dev/null || return 0\n"
    "    tmp=$(mktemp -d) || return 0\n"
    "    export url tmp\n"
    "    out=$(timeout 90 sh -c \"$3\" </dev/null 2>&1)\n"
    "    printf '%s\\t%s\\t%s\\t%s\\n' \"$1\" \"$2\" \"$(said \"$out\")\" \"$(printf '%s' \"$out\" | tail -n 1)\"\n"
    "}\n"
    "bare() { (\n"
    "    unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy\n"
    "    ask \"$@\"\n"
    ") }\n";

static int append_quoted(struct buf *out, const char *text)
{
    int result = buf_append(out, SLICE("'"));
    for (; *text && result == 0; text++)
        result = buf_append(out, *text == '\'' ? SLICE("'\\''") : slice_of(text, 1));
    return result < 0 || buf_append(out, SLICE("'")) < 0 ? -1 : 0;
}

static int append_call(struct buf *out, const char *function, size_t program, enum way way)
{
    char head[100];
    snprintf(head, sizeof head, "%s %s %d ", function, programs[program].name, (int)way);
    return buf_append(out, slice_str(head)) < 0 || append_quoted(out, programs[program].command) < 0 ||
                   buf_append(out, SLICE("\n")) < 0
               ? -1
               : 0;
}

static int write_script(struct buf *out)
{
    if (buf_append(out, slice_str(script_head)) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        if (append_call(out, "ask", i, WAY_AS_SET) < 0)
            return -1;
        if (programs[i].asks_proxy && append_call(out, "bare", i, WAY_CAPTURED) < 0)
            return -1;
    }
    return buf_append(out, slice_of("", 1)) < 0 ? -1 : 0; /* ends as a C string */
}

/* --- the jail --- */

/* The policy lies beside the project, not in it: a jail may not write what judges it. */
struct place {
    char dir[PATH_BYTES], policy[PATH_BYTES + 16], project[PATH_BYTES + 16];
};

static int write_policy(const char *path, struct err *e)
{
    static const char policy[] = "exeat: 1\ntask: doctor\nallow: []\n";
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, policy, sizeof policy - 1) != (ssize_t)sizeof policy - 1)
        return err_sys(e, "%s: cannot write", path);
    return 0;
}

static int make_place(struct place *p, struct err *e)
{
    snprintf(p->dir, sizeof p->dir, "/tmp/exeat-doctor-XXXXXX");
    if (!mkdtemp(p->dir))
        return err_sys(e, "/tmp: cannot make a folder");
    snprintf(p->policy, sizeof p->policy, "%s/policy.yaml", p->dir);
    snprintf(p->project, sizeof p->project, "%s/project", p->dir);
    if (mkdir(p->project, 0700) < 0)
        return err_sys(e, "%s: cannot make it", p->project);
    return write_policy(p->policy, e);
}

static void remove_place(const struct place *p)
{
    unlink(p->policy);
    rmdir(p->project);
    rmdir(p->dir);
}

NORETURN static void become_run(const struct place *p, const char *script, int out)
{
    if (chdir(p->project) == 0 && dup2(out, STDOUT_FILENO) >= 0)
        execl("/proc/self/exe", "exeat", "run", "--quiet", "--policy", p->policy, "--", "/bin/sh", "-c",
              script, (char *)NULL);
    fprintf(stderr, "exeat doctor: cannot start: %s\n", strerror(errno));
    _exit(EXIT_ERROR);
}

/* What `exeat run` could not do it has said on standard error. */
static int run_inside(const struct place *p, const char *script, struct buf *out, struct err *e)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(e, "cannot make a pipe");
    AUTO_FD int from = ends[0];
    pid_t pid = fork();
    if (pid == 0)
        become_run(p, script, ends[1]);
    close(ends[1]);
    if (pid < 0)
        return err_sys(e, "cannot start a process");
    int result = io_read_all(from, "the jail", out, e);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (result == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        return err_set(e, "there is no jail on this machine, see above");
    return result;
}

/* --- what came of it --- */

static struct slice next_field(struct slice *line, char end)
{
    const char *at = memchr(line->ptr, end, line->len);
    struct slice field = slice_first(*line, at ? (size_t)(at - line->ptr) : line->len);
    size_t used = field.len + (at ? 1 : 0);
    *line = slice_of(line->ptr + used, line->len - used);
    return field;
}

static void note_line(struct slice line, struct finding findings[])
{
    struct slice name = next_field(&line, '\t'), way = next_field(&line, '\t'),
                 result = next_field(&line, '\t');
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        if (!slice_eq(name, slice_str(programs[i].name)) || way.len != 1 || way.ptr[0] < '0' ||
            way.ptr[0] >= '0' + WAY_COUNT)
            continue;
        struct finding *f = &findings[i];
        int w = way.ptr[0] - '0';
        f->asked[w] = true;
        f->good[w] = slice_eq(result, SLICE("ok"));
        if (!f->good[w] && !f->detail.ptr)
            f->detail = line;
    }
}

static bool is_well(const struct finding *f)
{
    for (int w = 0; w < WAY_COUNT; w++)
        if (f->asked[w] && !f->good[w])
            return false;
    return true;
}

static void print_detail(const struct program *p, const struct finding *f)
{
    AUTO_BUF text = BUF_INIT(4 * DETAIL_MAX);
    size_t columns = 0;
    if (printable_append(&text, f->detail, DETAIL_MAX, &columns) == 0)
        printf("    it said: %.*s\n", SLICE_FMT(buf_slice(&text)));
    printf("    to mend it: %s\n", p->fix);
}

static void print_text(const struct program *p, const struct finding *f)
{
    if (!f->asked[WAY_AS_SET]) {
        printf("-   %-10snot installed\n", p->name);
        return;
    }
    printf("%s %-10s", is_well(f) ? "ok " : "BAD", p->name);
    for (int w = 0; w < WAY_COUNT; w++)
        if (f->asked[w])
            printf("%s%s %s", w ? ", " : "", f->good[w] ? "reaches exeat and trusts it" : "gets nowhere",
                   way_names[w]);
    putchar('\n');
    if (!is_well(f))
        print_detail(p, f);
}

static int print_json(const struct program *p, const struct finding *f)
{
    AUTO_BUF text = BUF_INIT(4096);
    struct json j = JSON_INIT(&text);
    json_object(&j);
    json_kv_str(&j, "program", p->name);
    json_kv_bool(&j, "installed", f->asked[WAY_AS_SET]);
    json_kv_bool(&j, "ok", f->asked[WAY_AS_SET] && is_well(f));
    json_key(&j, "captured");
    if (f->asked[WAY_CAPTURED])
        json_bool(&j, f->good[WAY_CAPTURED]);
    else
        json_null(&j);
    if (f->asked[WAY_AS_SET] && !is_well(f)) {
        json_kv_slice(&j, "said", slice_first(f->detail, DETAIL_MAX));
        json_kv_str(&j, "fix", p->fix);
    }
    json_object_end(&j);
    if (j.failed)
        return -1;
    printf("%.*s\n", SLICE_FMT(buf_slice(&text)));
    return 0;
}

static int report(struct slice output, bool json)
{
    struct finding findings[ARRAY_LEN(programs)] = {0};
    int status = EXIT_OK;
    while (output.len > 0)
        note_line(next_field(&output, '\n'), findings);
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        if (findings[i].asked[WAY_AS_SET] && !is_well(&findings[i]))
            status = EXIT_FINDINGS;
        if (!json)
            print_text(&programs[i], &findings[i]);
        else if (print_json(&programs[i], &findings[i]) < 0)
            return EXIT_ERROR;
    }
    return status;
}

static int print_wall(const struct run_wall *w, bool json)
{
    char said[RUN_WALL_TEXT_BYTES];
    AUTO_BUF text = BUF_INIT(4096);
    struct json j = JSON_INIT(&text);
    run_wall_text(w, said);
    if (!json) {
        printf("%s %-11s%s\n", !w->missing[0] ? "ok " : w->holds ? "old" : "-  ", w->name, said);
        return 0;
    }
    json_object(&j);
    json_kv_str(&j, "program", NULL);
    json_kv_str(&j, "wall", w->name);
    json_kv_bool(&j, "holds", w->holds);
    json_kv_str(&j, "note", said);
    json_object_end(&j);
    if (j.failed)
        return -1;
    printf("%.*s\n", SLICE_FMT(buf_slice(&text)));
    return 0;
}

/* What this kernel has for a jail; what it lacks is no finding, since a jail holds without it. */
static int report_walls(bool json)
{
    const struct run_walls_facts facts = {.landlock = run_walls_landlock()};
    struct run_wall walls[RUN_WALLS_MAX];
    size_t count = run_walls(&facts, walls);
    for (size_t i = 0; i < count; i++)
        if (print_wall(&walls[i], json) < 0)
            return -1;
    return 0;
}

int cmd_doctor(int argc, char **argv)
{
    struct doctor_options o = {0};
    struct place place = {0};
    struct err e = {0};
    int first;
    AUTO_BUF script = BUF_INIT(SCRIPT_BYTES), output = BUF_INIT(OUTPUT_BYTES);
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    if (first < argc)
        return options_wrong("doctor", "one word too many: %s", argv[first]);
    int result = write_script(&script) < 0 ? err_set(&e, "no memory") : make_place(&place, &e);
    if (result == 0)
        result = run_inside(&place, script.data + script.start, &output, &e);
    if (place.dir[0])
        remove_place(&place);
    if (result < 0) {
        fprintf(stderr, "exeat doctor: %s\n", e.text);
        return EXIT_ERROR;
    }
    return report_walls(o.json) < 0 ? EXIT_ERROR : report(buf_slice(&output), o.json);
}
