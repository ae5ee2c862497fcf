#include "policy/reason.h"

struct row {
    const char *id;
    unsigned status;
    const char *sentence, *hint;
};

static const struct row rows[REASON_COUNT] = {
#define REASON(constant, id, status, sentence, hint) [REASON_##constant] = {id, status, sentence, hint},
#include "policy/reasons.def"
#undef REASON
};

const char *reason_id(enum reason r)
{
    return rows[r].id;
}

unsigned reason_status(enum reason r)
{
    return rows[r].status;
}

const char *reason_sentence(enum reason r)
{
    return rows[r].sentence;
}

const char *reason_hint(enum reason r)
{
    return rows[r].hint;
}

enum reason reason_of_id(struct slice id)
{
    for (enum reason r = REASON_NONE + 1; r < REASON_COUNT; r++)
        if (slice_eq(slice_str(rows[r].id), id))
            return r;
    return REASON_NONE;
}

enum reason reason_of_fault(enum http_fault f)
{
    switch (f) {
    case HTTP_OK:
        return REASON_NONE;
    case HTTP_MALFORMED:
        return REASON_MALFORMED_REQUEST;
    case HTTP_AMBIGUOUS_TARGET:
        return REASON_AMBIGUOUS_TARGET;
    case HTTP_AMBIGUOUS_FRAMING:
        return REASON_AMBIGUOUS_FRAMING;
    case HTTP_BAD_VERSION:
        return REASON_HTTP_VERSION;
    case HTTP_HEAD_TOO_LARGE:
        return REASON_HEAD_TOO_LARGE;
    }
    return REASON_MALFORMED_REQUEST; /* a fault without a row is still a fault */
}

bool reason_is_missing_rule(enum reason r)
{
    switch (r) {
    case REASON_HOST_NOT_ALLOWED:
    case REASON_PORT_NOT_ALLOWED:
    case REASON_SCHEME_NOT_ALLOWED:
    case REASON_METHOD_NOT_ALLOWED:
    case REASON_PATH_NOT_ALLOWED:
    case REASON_QUERY_NOT_ALLOWED:
    case REASON_HEADER_NOT_ALLOWED:
    case REASON_BODY_NOT_ALLOWED:
    case REASON_BODY_TYPE_NOT_ALLOWED:
        return true;
    default:
        return false;
    }
}
