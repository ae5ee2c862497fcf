#include "proxy/blocks.h"

#include <stdlib.h>

void blocks_give(struct blocks *b, struct buf *buf)
{
    if (buf->data)
        return;
    void *block = b->free;
    if (block) {
        memcpy(&b->free, block, sizeof b->free);
        b->count--;
    } else {
        block = malloc(BLOCK_BYTES);
    }
    if (block)
        *buf = (struct buf){.data = block, .size = BLOCK_BYTES, .max = buf->max};
}

void blocks_take(struct blocks *b, struct buf *buf)
{
    if (buf->size != BLOCK_BYTES || b->count == BLOCKS_KEPT) {
        buf_free(buf);
        return;
    }
    memcpy(buf->data, &b->free, sizeof b->free);
    b->free = buf->data;
    b->count++;
    *buf = BUF_INIT(buf->max);
}

void blocks_free(struct blocks *b)
{
    while (b->free) {
        void *block = b->free;
        memcpy(&b->free, block, sizeof b->free);
        free(block);
    }
    b->count = 0;
}
