/* Recycled buffer memory of a worker: an idle connection holds none of it. */
#pragma once
#include "base/buf.h"

enum { BLOCK_BYTES = 20 << 10, BLOCKS_KEPT = 256 };

struct blocks {
    void *free; /* singly linked through the blocks */
    unsigned count;
};

/* Gives an empty buffer its first block; without memory the buffer stays as it is and will try again. */
void blocks_give(struct blocks *b, struct buf *buf);
/* Takes the memory of a buffer back and drops its contents. */
void blocks_take(struct blocks *b, struct buf *buf);
void blocks_free(struct blocks *b);
