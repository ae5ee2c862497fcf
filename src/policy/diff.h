/* What differs between two policies, in their heads, of the jail, and rule by rule: for the person who is asked
 * to trust a changed one, and for what a reload says.  Pure.
 *
 * Rules are the same where they ask for the same, whatever their names, lines and order; a rule of the same
 * kind, file and name that asks for something else has changed; the others are new or gone.  Their order is told where
 * it decides which one is charged, or whether a connection is inspected. */
#pragma once
#include "base/buf.h"
#include "policy/policy.h"

enum diff_kind { DIFF_NEW, DIFF_GONE, DIFF_CHANGED };

/* One finding.  A changed rule gives one for each thing that differs. */
struct diff_change {
    enum diff_kind kind;
    const struct policy_rule *before, *after; /* NULL where there is none; both: the policy as a whole */
    const char *what;                         /* of a change: "methods", "limits"; else NULL */
    const char *from, *to;                    /* of a change, as `policy show` prints them */
    bool opens; /* more may leave, or more of this machine may be reached, than before; also where that is unclear */
    bool drops; /* besides, it is a deny rule that forbids less, or a condition that has gone */
    bool jail;  /* of files, environment, services, …: in force from the next run on */
};

/* Texts live as long as the call.  -1 ends the walk. */
typedef int diff_report(void *arg, const struct diff_change *c);
/* -1 without memory, or what `report` refused. */
MUST_USE int policy_diff(const struct policy *before, const struct policy *after, diff_report *report, void *arg);

/* One line, without a newline: `gone: deny "paste sites" (.exeat.yaml:9)`. */
MUST_USE int diff_line(const struct diff_change *c, struct buf *out);
/* What a rule asks for, a line each, indented: `    methods       GET, HEAD`. */
MUST_USE int diff_rule(const struct policy_rule *r, struct buf *out);
