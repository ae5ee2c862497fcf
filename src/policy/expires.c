#include "policy/expires.h"

enum { DAY_MS = 24 * 60 * 60 * 1000, MINUTE_MS = 60 * 1000, YEAR_FIRST = 1970 };

/* Cuts exactly `digits` digits off; their value is at most `max`. */
static int take_number(struct slice *rest, size_t digits, uint64_t max, int64_t *ret)
{
    uint64_t n;
    if (rest->len < digits || slice_to_u64(slice_first(*rest, digits), max, &n) < 0)
        return -1;
    *rest = slice_skip(*rest, digits);
    *ret = (int64_t)n;
    return 0;
}

static int take_char(struct slice *rest, char c)
{
    if (rest->len == 0 || ascii_lower(rest->ptr[0]) != c)
        return -1;
    *rest = slice_skip(*rest, 1);
    return 0;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_in(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

static int64_t leap_days_before(int64_t year)
{
    return (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
}

/* full-date, to days since 1970-01-01. */
static int take_date(struct slice *rest, int64_t *ret_days)
{
    int64_t year, month, day;
    if (take_number(rest, 4, 9999, &year) < 0 || take_char(rest, '-') < 0 ||
        take_number(rest, 2, 12, &month) < 0 || take_char(rest, '-') < 0 ||
        take_number(rest, 2, 31, &day) < 0)
        return -1;
    if (year < YEAR_FIRST || month < 1 || day < 1 || day > days_in(year, month))
        return -1;
    int64_t days = (year - YEAR_FIRST) * 365 + leap_days_before(year) - leap_days_before(YEAR_FIRST);
    for (int64_t m = 1; m < month; m++)
        days += days_in(year, m);
    *ret_days = days + day - 1;
    return 0;
}

/* time-secfrac: rounded down, so that nothing holds longer than it says. */
static int take_fraction(struct slice *rest, int64_t *ret_ms)
{
    int64_t ms = 0, unit = 100;
    size_t n = 0;
    *ret_ms = 0;
    if (take_char(rest, '.') < 0)
        return 0;
    for (; n < rest->len && rest->ptr[n] >= '0' && rest->ptr[n] <= '9'; n++, unit /= 10)
        ms += (rest->ptr[n] - '0') * unit;
    *rest = slice_skip(*rest, n);
    *ret_ms = ms;
    return n ? 0 : -1;
}

static int take_offset(struct slice *rest, int64_t *ret_minutes)
{
    int64_t hours, minutes;
    if (take_char(rest, 'z') == 0) {
        *ret_minutes = 0;
        return 0;
    }
    bool west = take_char(rest, '-') == 0;
    if ((!west && take_char(rest, '+') < 0) || take_number(rest, 2, 23, &hours) < 0 ||
        take_char(rest, ':') < 0 || take_number(rest, 2, 59, &minutes) < 0)
        return -1;
    *ret_minutes = (hours * 60 + minutes) * (west ? -1 : 1);
    return 0;
}

/* full-time, to milliseconds from the date's start in UTC.  A leap second is the second after it. */
static int take_time(struct slice *rest, int64_t *ret_ms)
{
    int64_t hour, minute, second, ms, offset;
    if (take_number(rest, 2, 23, &hour) < 0 || take_char(rest, ':') < 0 ||
        take_number(rest, 2, 59, &minute) < 0 || take_char(rest, ':') < 0 ||
        take_number(rest, 2, 60, &second) < 0 || take_fraction(rest, &ms) < 0 ||
        take_offset(rest, &offset) < 0)
        return -1;
    *ret_ms = (hour * 60 + minute - offset) * MINUTE_MS + second * 1000 + ms;
    return 0;
}

int expires_parse(struct slice text, int64_t *ret_ms)
{
    int64_t days, ms = DAY_MS;
    if (take_date(&text, &days) < 0)
        return -1;
    if (text.len && (take_char(&text, 't') < 0 || take_time(&text, &ms) < 0 || text.len))
        return -1;
    *ret_ms = days * DAY_MS + ms;
    return 0;
}

int expires_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    struct expiry e;
    if (schema_text(ctx, key, value, &e.text) < 0)
        return -1;
    if (expires_parse(e.text, &e.ms) < 0)
        return schema_fail(ctx, value,
                           "`%s` must be a date such as 2026-12-31 or a time such as 2026-12-31T18:00:00Z",
                           key->name);
    *(struct expiry *)field = e;
    return 0;
}
