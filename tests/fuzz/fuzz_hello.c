/* A TLS client's first message from arbitrary bytes.
 *
 * The first two bytes say where the rest is cut.  What must hold: the part of a whole hello is never a hello and
 * never refused; what is refused stays refused with more bytes; a name fits where it is put. */
#include "tls/hello.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_hello whole, part;
    if (size < 2)
        return 0;
    struct slice in = slice_of((const char *)data + 2, size - 2);
    size_t cut = ((size_t)data[0] << 8 | data[1]) % (in.len + 1);
    int got = tls_hello_read(in, &whole), before = tls_hello_read(slice_first(in, cut), &part);
    must(got >= -1 && got <= 1 && before >= -1 && before <= 1);
    if (before < 0)
        must(got < 0);
    if (before > 0)
        must(got > 0 && whole.name_len == part.name_len && whole.hides_name == part.hides_name);
    if (got > 0)
        must(whole.name_len <= sizeof whole.name);
    return 0;
}
