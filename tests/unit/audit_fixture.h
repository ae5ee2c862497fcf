/* A folder of a test's own with a log in it. */
#pragma once
#include "audit/audit.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { FIXTURE_FILE_MAX = 64 << 20 };

struct audit_fixture {
    char dir[64];
    int dir_fd;
    struct audit_options options; /* audit.jsonl, no rotation; a test may change them */
};

/* For cmocka_unit_test_setup_teardown: *state is the fixture. */
int audit_fixture_setup(void **state);
int audit_fixture_teardown(void **state); /* removes all files in the folder */

struct audit_log *fixture_open(struct audit_fixture *f);
/* -1, and the message must name the file and hold `words`. */
void fixture_open_fails(struct audit_fixture *f, const char *words);
/* Writes `count` stop records, task "t". */
void fixture_write(struct audit_log *log, unsigned count);

void fixture_path(const struct audit_fixture *f, const char *name, char ret_path[256]);
/* Content of DIR/name; an empty slice where there is no such file. */
struct slice fixture_read(const struct audit_fixture *f, const char *name, struct buf *ret);
void fixture_replace(const struct audit_fixture *f, const char *name, struct slice content);
unsigned fixture_lines(struct slice text);
bool fixture_has(struct slice text, const char *words);
/* Verifies the chain of DIR/audit.jsonl: NULL when it is whole, else "FILE:LINE: what is wrong". */
const char *fixture_verify(const struct audit_fixture *f);
/* Until `is` is true, at most some seconds: for what the log's own thread does. */
bool fixture_wait(bool (*is)(void *arg), void *arg);
