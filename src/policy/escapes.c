#include "policy/escapes.h"

#include "http/chars.h"

size_t escapes_once(struct slice in, bool plus, char *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        int byte = in.ptr[i] == '%' ? http_escape(slice_skip(in, i)) : -1;
        if (byte >= 0)
            i += 2;
        ret[n++] = byte >= 0 ? (char)byte : plus && in.ptr[i] == '+' ? ' ' : in.ptr[i];
    }
    return n;
}

size_t escapes_fully(struct slice in, char *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        ret[n++] = in.ptr[i];
        for (int byte; n >= 3 && (byte = http_escape(slice_of(ret + n - 3, 3))) >= 0;) {
            n -= 2;
            ret[n - 1] = (char)byte;
        }
    }
    for (size_t i = 0; i < n; i++)
        ret[i] = ascii_lower(ret[i]);
    return n;
}
