/* Walks through a folder, without following links. */
#pragma once
#include "base/err.h"

#include <stdbool.h>

enum tree_step { TREE_GO_ON, TREE_SKIP /* do not enter this folder */, TREE_FAIL /* with e filled */ };

/* One entry.  type: DT_REG and its like (readdir(3)); dir: an open descriptor of the folder that holds
 * `name`.  A folder that was not skipped may come a second time:
 *  TREE_CLOSED  it may not be looked into.  TREE_GO_ON tries once more, and then leaves it out.
 *  TREE_DEEP    it lies too deep (base/caps.h).  TREE_GO_ON is an error; TREE_SKIP leaves it out.
 * TREE_MANY comes where more was seen than caps.h allows: TREE_GO_ON is an error, TREE_SKIP goes on. */
enum { TREE_CLOSED = 200, TREE_DEEP, TREE_MANY };
typedef enum tree_step tree_each(void *ctx, const char *path, int dir, const char *name, unsigned char type);

/* Folders before what is in them.  A `top` that is no folder has no entries; a closed one comes as
 * TREE_CLOSED by its path, with AT_FDCWD as dir. */
MUST_USE int tree_walk(const char *top, tree_each *each, void *ctx, struct err *e);
