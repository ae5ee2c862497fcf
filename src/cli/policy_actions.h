/* What `exeat policy` does beside `show`: one file an action.  Each returns the exit status. */
#pragma once
#include <stdbool.h>

struct policy_options {
    const char *policy; /* NULL: the project's own */
    const char *replay; /* test: a log, or a folder of logs */
    const char *task;   /* test --replay: only records of this task */
    bool json, strict;
};

int policy_action_lint(const struct policy_options *o);
int policy_action_test(const struct policy_options *o);
int policy_replay(const struct policy_options *o);
