/* What is wrong with a document: every finding with its place, not only the first.
 *
 * Readers add as they go and carry on where they can; whoever started asks `count` at the end.
 * Text of the document may stand in a message: control bytes are replaced, so that a hostile file
 * cannot draw on the terminal of the person who reads it.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"

/* Called once a finding.  `message` is one line without the place. */
typedef void problem_report(void *arg, const char *file, unsigned line, unsigned column, const char *message);

enum {
    PROBLEMS_REPORTED = 100
}; /* beyond it findings are counted only: nobody reads on, and a file may hold many */

struct problems {
    const char *file;       /* the name for messages */
    problem_report *report; /* NULL: nobody listens */
    void *report_arg;
    struct err *first; /* gets "file:line:column: message" of the first finding; may be NULL */
    unsigned count;
};

/* Lines and columns count from 1; line 0 is the file as a whole.  Returns -1, as err_set does. */
int problems_add(struct problems *p, unsigned line, unsigned column, const char *fmt, ...) PRINTF(4, 5);
