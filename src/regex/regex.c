#include "regex/regex.h"

#include "base/caps.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdlib.h>

enum { HEAP_KIB = 1024 };

struct regex {
    pcre2_code *code;
};

/* What a thread needs to match: kept until the thread ends. */
struct scratch {
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static bool scratch_ready;

static void scratch_free(void *arg)
{
    struct scratch *s = arg;
    if (!s)
        return;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->limits);
    free(s);
}

static void make_scratch_key(void)
{
    scratch_ready = pthread_key_create(&scratch_key, scratch_free) == 0;
}

static struct scratch *make_scratch(void)
{
    struct scratch *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    /* one pair: where the whole match lies; groups are not asked for */
    *s = (struct scratch){pcre2_match_data_create(1, NULL), pcre2_match_context_create(NULL)};
    if (!s->data || !s->limits || pthread_setspecific(scratch_key, s) != 0) {
        scratch_free(s);
        return NULL;
    }
    pcre2_set_match_limit(s->limits, CAP_REGEX_MATCH_STEPS);
    pcre2_set_depth_limit(s->limits, CAP_REGEX_DEPTH);
    pcre2_set_heap_limit(s->limits, HEAP_KIB);
    return s;
}

static struct scratch *get_scratch(void)
{
    pthread_once(&scratch_once, make_scratch_key);
    if (!scratch_ready)
        return NULL;
    struct scratch *s = pthread_getspecific(scratch_key);
    return s ? s : make_scratch();
}

static int fail(int code, size_t offset, size_t *ret_offset, struct err *e)
{
    PCRE2_UCHAR why[200];
    if (pcre2_get_error_message(code, why, ARRAY_LEN(why)) < 0)
        why[0] = '\0';
    if (ret_offset)
        *ret_offset = offset;
    return err_set(e, "%s", (const char *)why);
}

/* `(*UTF)` and its like at the start change what a pattern means; PCRE2 has no switch for all of them. */
static bool starts_with_option(struct slice pattern)
{
    return slice_starts(pattern, SLICE("(*"));
}

int regex_compile(struct slice pattern, unsigned flags, struct regex **ret_regex, size_t *ret_offset,
                  struct err *e)
{
    if (ret_offset)
        *ret_offset = 0;
    if (pattern.len > CAP_REGEX_PATTERN_BYTES)
        return err_set(e, "longer than %d bytes", CAP_REGEX_PATTERN_BYTES);
    if (starts_with_option(pattern))
        return err_set(e, "options and verbs (`(*…)`) are not allowed");
    uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF |
                       PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C;
    if (flags & REGEX_NOCASE)
        options |= PCRE2_CASELESS;
    AUTO(regex) *r = malloc(sizeof *r);
    if (!r)
        return err_set(e, "out of memory");
    int code;
    PCRE2_SIZE offset;
    r->code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, options, &code, &offset, NULL);
    if (!r->code)
        return fail(code, offset, ret_offset, e);
    /* failing is no error: pcre2_match(3) then interprets */
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
    *ret_regex = TAKE(r);
    return 0;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    free(r);
}

size_t regex_size(const struct regex *r)
{
    size_t code = 0, jit = 0;
    if (pcre2_pattern_info(r->code, PCRE2_INFO_SIZE, &code) != 0 ||
        pcre2_pattern_info(r->code, PCRE2_INFO_JITSIZE, &jit) != 0)
        return SIZE_MAX / 2; /* no pattern has that: whoever adds up refuses it */
    return code + jit;
}

enum regex_result regex_match(const struct regex *r, struct slice text)
{
    struct scratch *s = get_scratch();
    if (!s)
        return REGEX_LIMIT;
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.ptr ? text.ptr : "");
    int rc = pcre2_match(r->code, subject, text.len, 0, 0, s->data, s->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return REGEX_NO_MATCH;
    if (rc < 0)
        return REGEX_LIMIT;
    /* \K may move the start that is reported, never the end */
    return pcre2_get_ovector_pointer(s->data)[1] == text.len ? REGEX_MATCH : REGEX_NO_MATCH;
}
