/* exeat run --dry-run: the plan, as text and as JSON. */
#include "app/run_plan.h"
#include "base/io.h"
#include "base/json.h"
#include "base/printable.h"
#include "policy/jail.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PLAN_BYTES = 8 << 20 };

static const char *const places[] = {[JAIL_SUPERVISOR] = "outside",
                                     [JAIL_LAUNCHER] = "launcher",
                                     [JAIL_INNER] = "pid 1",
                                     [JAIL_AGENT] = "command"};

static size_t find_walls(const struct run_plan *p, struct run_wall ret[RUN_WALLS_MAX])
{
    const struct run_walls_facts facts = run_plan_facts(p);
    return run_walls(&facts, ret);
}

/* "NAME=value": the name. */
static struct slice name_of(const char *variable)
{
    return slice_of(variable, strcspn(variable, "="));
}

static bool is_callers(const char *variable)
{
    for (char *const *p = environ; *p; p++)
        if (strcmp(*p, variable) == 0)
            return true;
    return false;
}

/* --- JSON --- */

static void json_names(struct json *j, const char *key, const char *const *list, int callers)
{
    json_key(j, key);
    json_array(j);
    for (; *list; list++)
        if (callers < 0 || is_callers(*list) == (callers > 0))
            json_slice(j, name_of(*list));
    json_array_end(j);
}

static void json_forwards(struct json *j, const char *key, const struct policy_forward *list, size_t count)
{
    json_key(j, key);
    json_array(j);
    for (size_t i = 0; i < count; i++) {
        json_object(j);
        json_kv_str(j, "address", list[i].address ? list[i].address : "127.0.0.1");
        json_kv_int(j, "port", list[i].port);
        json_kv_int(j, "host_port", list[i].host_port);
        json_kv_bool(j, "inspected", false);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_steps(struct json *j)
{
    json_key(j, "steps");
    json_array(j);
    for (size_t i = 0; i < JAIL_STEP_COUNT; i++) {
        const struct jail_step_row *row = jail_step_row((enum jail_step)i);
        json_object(j);
        json_kv_str(j, "name", row->name);
        json_kv_str(j, "where", places[row->place]);
        json_kv_str(j, "what", row->what);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_walls(const struct run_plan *p, struct json *j)
{
    struct run_wall walls[RUN_WALLS_MAX];
    char text[RUN_WALL_TEXT_BYTES];
    size_t count = find_walls(p, walls);
    json_key(j, "walls");
    json_array(j);
    for (size_t i = 0; i < count; i++) {
        run_wall_text(&walls[i], text);
        json_object(j);
        json_kv_str(j, "name", walls[i].name);
        json_kv_bool(j, "holds", walls[i].holds);
        json_kv_str(j, "note", text);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_user(const struct run_plan *p, struct json *j)
{
    json_key(j, "user");
    json_object(j);
    json_kv_str(j, "name", p->user);
    json_kv_int(j, "uid", p->who.uid);
    json_kv_int(j, "gid", p->who.gid);
    json_kv_str(j, "home", p->home);
    json_object_end(j);
}

static int print_json(const struct run_plan *p, struct buf *out)
{
    struct json j = JSON_INIT(out);
    json_object(&j);
    json_kv_str(&j, "task", p->o->task ? p->o->task : policy_task(p->o->policy));
    json_kv_str(&j, "project", p->o->project);
    json_kv_str(&j, "command", p->path);
    json_kv_str(&j, "directory", p->directory);
    json_user(p, &j);
    json_kv_str(&j, "network", p->jail->network == POLICY_NETWORK_EXPLICIT ? "explicit" : "capture");
    json_forwards(&j, "services", p->jail->services, p->jail->service_count);
    json_forwards(&j, "publish", p->jail->publish, p->jail->publish_count);
    json_steps(&j);
    json_walls(p, &j);
    json_key(&j, "mounts");
    mounts_json(p->mounts, &j);
    json_key(&j, "environment");
    json_object(&j);
    json_names(&j, "kept", p->environment, 1);
    json_names(&j, "set", p->environment, 0);
    json_names(&j, "dropped", p->dropped, -1);
    json_object_end(&j);
    json_object_end(&j);
    return j.failed || buf_append(out, SLICE("\n")) < 0 ? -1 : 0;
}

/* --- text --- */

static int put_names(struct buf *out, const char *what, const char *const *list, int callers)
{
    if (buf_printf(out, "  %s:", what) < 0)
        return -1;
    for (; *list; list++) {
        struct slice name = name_of(*list);
        if ((callers < 0 || is_callers(*list) == (callers > 0)) &&
            buf_printf(out, " %.*s", (int)name.len, name.ptr) < 0)
            return -1;
    }
    return buf_append(out, SLICE("\n"));
}

static int put_mounts(const struct run_plan *p, struct buf *out)
{
    size_t count;
    const struct mount_op *ops = mounts_ops(p->mounts, &count);
    for (size_t i = 0; i < count; i++)
        if (buf_printf(out, "  %-6s %s%s%s  (%s)%s\n", mount_kind_id(ops[i].kind), ops[i].to,
                       ops[i].from && strcmp(ops[i].from, ops[i].to) != 0 ? " <- " : "",
                       ops[i].from && strcmp(ops[i].from, ops[i].to) != 0 ? ops[i].from : "", ops[i].reason,
                       ops[i].protects ? " protected" : "") < 0)
            return -1;
    return 0;
}

static int put_steps(struct buf *out)
{
    for (size_t i = 0; i < JAIL_STEP_COUNT; i++) {
        const struct jail_step_row *row = jail_step_row((enum jail_step)i);
        if (buf_printf(out, "  %-11s %s (%s)\n", row->name, row->what, places[row->place]) < 0)
            return -1;
    }
    return 0;
}

static int put_walls(const struct run_plan *p, struct buf *out)
{
    struct run_wall walls[RUN_WALLS_MAX];
    char text[RUN_WALL_TEXT_BYTES];
    size_t count = find_walls(p, walls);
    for (size_t i = 0; i < count; i++) {
        run_wall_text(&walls[i], text);
        if (buf_printf(out, "  %-11s %s\n", walls[i].name, text) < 0)
            return -1;
    }
    return 0;
}

static int put_forwards(const struct run_plan *p, struct buf *out)
{
    const struct policy_jail *j = p->jail;
    for (size_t i = 0; i < j->service_count; i++) {
        const struct policy_forward *f = &j->services[i];
        bool v6 = strchr(f->address, ':') != NULL;
        if (buf_printf(out, "  service: port %u inside leads to %s%s%s:%u of this machine (not inspected)\n",
                       f->port, v6 ? "[" : "", f->address, v6 ? "]" : "", f->host_port) < 0)
            return -1;
    }
    for (size_t i = 0; i < j->publish_count; i++)
        if (buf_printf(out,
                       "  published: 127.0.0.1:%u of this machine leads to port %u inside (not inspected)\n",
                       j->publish[i].host_port, j->publish[i].port) < 0)
            return -1;
    return 0;
}

static int put_all(const struct run_plan *p, struct buf *out)
{
    if (buf_printf(
            out,
            "task       %s\nproject    %s\ncommand    %s\ndirectory  %s\nuser       %s (uid %u, gid %u)\n",
            p->o->task ? p->o->task : policy_task(p->o->policy), p->o->project, p->path, p->directory,
            p->user, p->who.uid, p->who.gid) < 0)
        return -1;
    if (buf_append(out, SLICE("\nwalls\n")) < 0 || put_walls(p, out) < 0 || put_forwards(p, out) < 0 ||
        buf_append(out, SLICE("\nsteps\n")) < 0 || put_steps(out) < 0 ||
        buf_append(out, SLICE("\nfiles\n")) < 0 || put_mounts(p, out) < 0 ||
        buf_append(out, SLICE("\nenvironment\n")) < 0)
        return -1;
    return put_names(out, "kept", p->environment, 1) < 0 || put_names(out, "set", p->environment, 0) < 0
               ? -1
               : put_names(out, "stays outside", p->dropped, -1);
}

/* Names of files are the project's word: what they hold must not drive the terminal. */
static int print_text(const struct run_plan *p, struct buf *out)
{
    AUTO_BUF raw = BUF_INIT(PLAN_BYTES);
    return put_all(p, &raw) < 0 ? -1 : printable_lines(out, buf_slice(&raw));
}

int run_plan_print(const struct run_plan *p, bool json, struct err *e)
{
    AUTO_BUF out = BUF_INIT(PLAN_BYTES);
    if ((json ? print_json(p, &out) : print_text(p, &out)) < 0)
        return err_set(e, "the plan is too long to print");
    return io_write_all(STDOUT_FILENO, buf_slice(&out)) < 0 ? err_sys(e, "standard output") : 0;
}
