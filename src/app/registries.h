/* Where the package managers of this machine fetch from, read out of their own configuration.
 *
 * A preset's parameter with `from: npm` gets its value here, so that mirrors work and no host is guessed.
 * Only the environment, the user's home, /etc and the tools' own installations are read, never the project:
 * what lies there is the agent's word.  Which places, in which order: registries.def.
 *
 * Every URL is a base: http or https, a host (lower case, an address is a literal), a port where it is not
 * the scheme's own, the path without its last "/"; no credentials, query or fragment.  What the configuration
 * has beside that (file:, cdrom:, `direct`) is left out; what should be such a URL and is none, is an error.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"

/* Where to look. Tests make up a world of their own. */
struct registries_world {
    const char *root;               /* put before /etc and /usr; "" is this machine's */
    const char *home;               /* the user's; NULL: there is none */
    const char *const *environment; /* "NAME=value", ended by NULL */
};

struct registry {
    const char *url;
    const char *where; /* for messages: "~/.npmrc:3", "environment: GOPROXY", "default of pip" */
};

struct registries {
    struct arena arena; /* of all texts */
    struct registry *at;
    size_t count; /* none twice, at most REGISTRIES_MAX */
};

enum { REGISTRIES_MAX = 64 };

/* This process's environment, HOME in it, no other root. */
void registries_here(struct registries_world *ret);

/* `tool` is a name of registries.def ("npm", "pip", "apt", "go", "cargo", "maven", "gem").
 * Finding nothing is no failure (count 0): the caller says how to name a registry.
 * -1: there is no such tool; a file is broken, too large or cannot be read. */
MUST_USE int registries_find(const struct registries_world *world, struct slice tool, struct registries **ret,
                             struct err *e);
void registries_free(struct registries *r);
DEFINE_AUTO(registries)
