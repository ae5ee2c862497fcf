/* The configuration's file; what stands in it is config.c's. */
#include "app/config.h"
#include "base/caps.h"
#include "base/io.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int config_read(const char *path, char *ret_name, struct buf *text, struct err *e)
{
    struct stat st;
    char name[PATH_MAX];
    bool link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
    if (strlen(path) >= sizeof name)
        return err_set(e, "%s: path too long", path);
    if (link && !realpath(path, name))
        return err_sys(e, "%s: cannot open", path);
    if (!link)
        snprintf(name, sizeof name, "%s", path);
    if (io_read_file(name, text, e) < 0)
        return -1;
    memcpy(ret_name, name, sizeof name);
    return 0;
}

int config_load(const char *path, problem_report *report, void *report_arg, struct config **ret,
                struct err *e)
{
    AUTO_BUF text = BUF_INIT(CAP_DOCUMENT_BYTES);
    char name[PATH_MAX];
    if (config_read(path, name, &text, e) < 0)
        return -1;
    struct problems problems = {.file = name, .report = report, .report_arg = report_arg, .first = e};
    return config_parse(buf_slice(&text), &problems, ret);
}
