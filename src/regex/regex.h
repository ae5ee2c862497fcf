/* Regular expressions (PCRE2) with limits: the only user of pcre2.h.
 *
 * An expression matches a text whole: it is anchored at both ends.  Bytes, not characters: `.` is one
 * byte, classes and case are ASCII.  A pattern cannot lift a limit, switch UTF on or call out.
 * The JIT is used where memory may be made executable at compile time; where it may not (a role that
 * has locked itself in), the interpreter gives the same answers.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"

struct regex;

enum regex_flags { REGEX_NOCASE = 1 };

/* A pattern longer than CAP_REGEX_PATTERN_BYTES is refused.  *ret_offset (may be NULL) is the byte of
 * the pattern at which an error was found. */
MUST_USE int regex_compile(struct slice pattern, unsigned flags, struct regex **ret_regex, size_t *ret_offset,
                           struct err *e);
void regex_free(struct regex *r);
/* Bytes that it holds compiled, machine code of the JIT's too. */
size_t regex_size(const struct regex *r);
DEFINE_AUTO(regex)

enum regex_result {
    REGEX_NO_MATCH,
    REGEX_MATCH,
    /* A limit was met: nobody knows.  Whoever allows must read it as no match, whoever denies as a match. */
    REGEX_LIMIT,
};

/* Any thread; allocates nothing but, once a thread, its match data. */
enum regex_result regex_match(const struct regex *r, struct slice text);
