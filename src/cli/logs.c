#include "cli/logs.h"

#include "app/config.h"
#include "app/inside.h"
#include "app/state.h"
#include "audit/reader.h"
#include "base/slice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

void logs_clear(struct logs *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->paths[i]);
    free(l->paths);
}

static int one_log(const char *path, struct logs *ret, struct err *e)
{
    char **paths = calloc(1, sizeof *paths), *copy = slice_dup(slice_str(path));
    if (!paths || !copy) {
        free(paths);
        free(copy);
        return err_set(e, "no memory");
    }
    paths[0] = copy;
    *ret = (struct logs){paths, 1};
    return 0;
}

static int logs_in(const char *dir, struct logs *ret, struct err *e)
{
    struct logs found;
    if (log_reader_find(dir, &found.paths, &found.count, e) < 0)
        return -1;
    if (found.count == 0) {
        logs_clear(&found);
        return err_set(e, "%s: there is no audit log in it", dir);
    }
    *ret = found;
    return 0;
}

int logs_find(const char *config_file, const char *log, struct logs *ret, struct err *e)
{
    char dir[STATE_PATH_BYTES];
    struct stat st;
    if (config_file) {
        AUTO(config) *config = NULL;
        return config_load(config_file, NULL, NULL, &config, e) < 0 ? -1
                                                                    : one_log(config->audit.file, ret, e);
    }
    if (log)
        return stat(log, &st) == 0 && S_ISDIR(st.st_mode) ? logs_in(log, ret, e) : one_log(log, ret, e);
    if (state_path("audit", dir, e) < 0)
        return -1;
    if (stat(dir, &st) < 0 && errno == ENOENT && inside_jail())
        return err_set(e, "the audit log lies outside this jail: ask a person to run this there");
    if (stat(dir, &st) < 0 && errno == ENOENT)
        return err_set(e, "there is no audit log yet (%s): name one with --config or --log", dir);
    return logs_in(dir, ret, e);
}
