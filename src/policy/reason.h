/* Why a verdict is what it is: a closed list (reasons.def). */
#pragma once
#include "base/slice.h"
#include "http/fault.h"

enum reason {
    REASON_NONE, /* allowed by a rule */
#define REASON(constant, id, status, sentence, hint) REASON_##constant,
#include "policy/reasons.def"
#undef REASON
    REASON_COUNT
};

const char *reason_id(enum reason r);       /* "method-not-allowed"; NULL for REASON_NONE */
unsigned reason_status(enum reason r);      /* HTTP status; 0 where the connection is only closed */
const char *reason_sentence(enum reason r); /* for the agent */
const char *reason_hint(enum reason r);     /* what to do */
/* REASON_NONE where there is no such id. */
enum reason reason_of_id(struct slice id);
enum reason reason_of_fault(enum http_fault f);
/* The reasons that mode monitor (and ask) relaxes: a missing allow rule, and nothing else. */
bool reason_is_missing_rule(enum reason r);
