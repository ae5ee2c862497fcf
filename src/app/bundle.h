/* A bundle: the files of a configuration as named texts in one sealed memfd (memfd_create(2)).
 *
 * The supervisor reads every file once and packs them; the proxy role gets the descriptor, maps it and
 * compiles the policies itself, so that it opens no file.  Sealed: what was checked is what is used.
 * Layout: magic, count, then entries {kind, name, text}, lengths first; all of one build. */
#pragma once
#include "base/buf.h"
#include "base/caps.h"
#include "base/err.h"

enum { BUNDLE_ENTRIES_MAX = 4096, BUNDLE_NAME_BYTES = 4096 };

enum bundle_kind {
    BUNDLE_CONFIG = 1,  /* the configuration; its name is the file's */
    BUNDLE_POLICY,      /* by path, as the configuration writes it (resolved) */
    BUNDLE_TOKEN,       /* by path: a token file's text */
    BUNDLE_ROOTS,       /* the system's roots, PEM */
    BUNDLE_EXTRA_ROOTS, /* upstream.ca_file, PEM */
    BUNDLE_EXTENDED,    /* what policies extend: as enum policy_text_kind, each by name; the text begins with
                         * "+", or with "-" where it could not be read and says why */
    BUNDLE_EXTENDED_PRESET,
    BUNDLE_EXTENDED_REGISTRIES,
    BUNDLE_HINT,        /* config_proxy_hint */
    BUNDLE_SITE,        /* `site`: the policy over all policies, by path */
    BUNDLE_KIND_END,
};

/* Writing: append entries, then seal. */
MUST_USE int bundle_append(struct buf *out, enum bundle_kind kind, const char *name, struct slice text,
                           struct err *e);
/* Returns the descriptor of a sealed memfd. */
MUST_USE int bundle_seal(const struct buf *entries, struct err *e);

/* Reading.  The bytes come from the supervisor, and are checked all the same. */
struct bundle;
/* Maps `fd` (which stays the caller's); refuses one that is not sealed. */
MUST_USE int bundle_open(int fd, struct bundle **ret, struct err *e);
void bundle_free(struct bundle *b);
DEFINE_AUTO(bundle)
/* The text of an entry; `name` NULL: the first of its kind.  ptr is NULL where there is none.
 * Slices and *ret_name point into the mapping. */
struct slice bundle_find(const struct bundle *b, enum bundle_kind kind, const char *name,
                         const char **ret_name);
