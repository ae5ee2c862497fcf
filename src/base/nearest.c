#include "base/nearest.h"

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Rows of the classic table: `before` is two rows up, `above` one, `row` the one that is filled. */
static unsigned fill_row(struct slice a, struct slice b, size_t i, const unsigned *before, const unsigned *above,
                         unsigned *row)
{
    unsigned smallest = row[0] = (unsigned)i;
    for (size_t j = 1; j <= b.len; j++) {
        char x = ascii_lower(a.ptr[i - 1]), y = ascii_lower(b.ptr[j - 1]);
        row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y));
        bool swapped = i > 1 && j > 1 && x == ascii_lower(b.ptr[j - 2]) && ascii_lower(a.ptr[i - 2]) == y;
        if (swapped && before[j - 2] + 1 < row[j])
            row[j] = before[j - 2] + 1;
        if (row[j] < smallest)
            smallest = row[j];
    }
    return smallest;
}

unsigned nearest_distance(struct slice a, struct slice b, unsigned at_most)
{
    if (a.len > NEAREST_WORD_BYTES || b.len > NEAREST_WORD_BYTES)
        return at_most + 1;
    unsigned rows[3][NEAREST_WORD_BYTES + 1];
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++)
        if (fill_row(a, b, i, rows[(i + 1) % 3], rows[(i - 1) % 3], rows[i % 3]) > at_most)
            return at_most + 1;
    unsigned d = rows[a.len % 3][b.len];
    return d > at_most ? at_most + 1 : d;
}

void nearest_offer(struct nearest *n, const char *known)
{
    unsigned d = nearest_distance(n->word, slice_str(known), n->distance);
    if (d < n->distance) {
        n->best = known;
        n->distance = d;
    }
}
