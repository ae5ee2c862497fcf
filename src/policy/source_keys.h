/* The keys of a policy, of a file that it extends, and of a preset: which may stand where. */
#pragma once
#include "policy/sources.h"

#define SOURCE_KEYS_DEFAULT                                                                                  \
    ((struct source_keys){.mode = POLICY_ENFORCE, .expires = EXPIRES_NEVER, .jail = JAIL_DEFAULT})

/* Reads what stands there; -1 with problems added, and what could be read read. */
MUST_USE int source_keys_read(struct schema_ctx *ctx, const struct node *root, enum origin_kind kind,
                              struct source_keys *ret);
