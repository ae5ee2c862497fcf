/* Reads all that a configuration names, with all that its policies extend, once, into a bundle: the
 * supervisor's part of a start or reload. */
#pragma once
#include "app/bundle.h"
#include "app/config.h"
#include "app/texts.h"

struct files_source {
    const char *config; /* path, or the name of a given text */
    const struct files_given *given;
    size_t given_count;
    bool alone;              /* policies are no links and have one (base/io.h) */
    problem_report *report;  /* every error, with its place */
    problem_report *warning; /* what deserves a look: a secret that everybody can read; may be NULL */
    void *arg;
};

/* The same of one policy alone: its text is the first, what it extends by path are the others. */
MUST_USE int files_pack_policy(const struct files_given *files, size_t count, struct err *e);

/* Returns the descriptor of a sealed bundle.  A policy that is given as text extends only files that are. */
MUST_USE int files_pack(const struct files_source *source, struct err *e);
