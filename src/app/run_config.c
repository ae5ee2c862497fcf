#include "app/run_config.h"

#include "base/json.h"

/* A JSON string is a double-quoted YAML scalar (YAML 1.2, section 1.3). */
static void key(struct buf *out, struct json *j, const char *before, const char *value)
{
    j->failed |= buf_printf(out, "%s", before) < 0;
    j->comma = false;
    json_str(j, value);
    j->failed |= buf_printf(out, "\n") < 0;
}

int run_config_write(const struct run_config *c, struct buf *out)
{
    struct json j = JSON_INIT(out);
    j.failed |= buf_printf(out, "exeat: 1\nlisten: none\ntimeouts: {shutdown: 2s}\n"
                                "limits: {task_heads: 16MiB}\n") < 0;
    key(out, &j, "state: ", c->state);
    key(out, &j, "audit:\n  file: ", c->audit_file);
    key(out, &j, "tasks:\n  - task: ", c->task);
    key(out, &j, "    policy: ", c->policy);
    j.failed |= buf_printf(out, "    jail: true\n") < 0;
    if (c->mode)
        key(out, &j, "    mode: ", c->mode);
    return j.failed ? -1 : 0;
}
