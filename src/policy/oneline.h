/* A rule in one line: `POST https://ingest.example.com/v1/rows`.
 *
 * Expanded into the mapping that it stands for, so that there is one way to read a rule.
 */
#pragma once
#include "config/schema.h"

/* `value` is the text of the rule, or a mapping with a key `rule` that holds it; a mapping without one
 * comes back as it is.  NULL with a problem added. */
const struct node *oneline_expand(struct schema_ctx *ctx, const struct node *value);
