/* `tests` of a policy: what it should say of a request, for `exeat policy test`.
 *
 *     tests:
 *       - allow GET https://api.github.com/repos/acme/widgets/issues
 *       - block POST https://api.github.com/repos/acme/widgets/issues
 */
#pragma once
#include "config/schema.h"

struct policy_test {
    bool allow;          /* else block */
    struct slice method; /* not empty, without a space; both as written: who runs the test judges them */
    struct slice url;
    unsigned line, column;
};

struct policy_tests {
    const struct policy_test *at;
    size_t count;
};

struct policy;
/* Those of the top file. */
const struct policy_tests *policy_tests(const struct policy *p);

schema_read tests_read; /* struct policy_tests */
