/* What the policies of the cases extend: files, presets and registries under tests/cases/extends. */
#pragma once
#include "base/buf.h"
#include "policy/policy.h"

enum { POLICY_TEXTS_MAX = 100 };

struct policy_texts {
    struct buf at[POLICY_TEXTS_MAX]; /* they live until clear */
    size_t count;
};

policy_lookup policy_texts_find; /* arg: struct policy_texts */
void policy_texts_clear(struct policy_texts *t);
