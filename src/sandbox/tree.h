/* Walks through a folder, without following links. */
#pragma once
#include "base/err.h"

#include <stdbool.h>

enum tree_step { TREE_GO_ON, TREE_SKIP /* do not enter this folder */, TREE_FAIL /* with e filled */ };

/* One entry.  type: DT_REG and its like (readdir(3)); dir: an open descriptor of the folder that holds
 * `name`. */
typedef enum tree_step tree_each(void *ctx, const char *path, int dir, const char *name, unsigned char type);

/* Folders before what is in them.  What cannot be opened is left out: the same user in a jail cannot open it
 * either. An error where there is more, or deeper, than base/caps.h allows.  A `top` that is no folder has no
 * entries. */
MUST_USE int tree_walk(const char *top, tree_each *each, void *ctx, struct err *e);
