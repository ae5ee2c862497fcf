#include "policy_texts.h"

#include "base/io.h"
#include "case_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

int policy_texts_find(void *arg, enum policy_text_kind kind, const char *name, struct slice *ret_text,
                      struct err *e)
{
    static const char *const before[] = {"", "presets/", "registries/"}; /* as enum policy_text_kind */
    struct policy_texts *t = arg;
    char file[256], path[CASE_PATH_BYTES];
    struct err why;
    assert_true(t->count < POLICY_TEXTS_MAX);
    struct buf *text = &t->at[t->count];
    *text = BUF_INIT(CASE_FILE_BYTES);
    snprintf(file, sizeof file, "%s%s%s", before[kind], name, kind == POLICY_TEXT_PRESET ? ".yaml" : "");
    case_path("extends", file, path);
    if (io_read_file(path, text, &why) < 0) {
        buf_free(text);
        *ret_text = SLICE("");
        return kind == POLICY_TEXT_REGISTRIES ? 0 : err_set(e, "%s: there is no such text", name);
    }
    t->count++;
    *ret_text = buf_slice(text);
    return 0;
}

void policy_texts_clear(struct policy_texts *t)
{
    for (size_t i = 0; i < t->count; i++)
        buf_free(&t->at[i]);
    t->count = 0;
}
