/* Between registries.c and its readers: a reader gets a configuration's text and adds what it finds. */
#pragma once
#include "app/registries.h"
#include "base/err.h"

struct finder;

/* One text being read: where it comes from, what was found before. */
struct place {
    struct finder *finder;
    const char *shown; /* "~/.npmrc", "environment: GOPROXY": for messages */
    const char *slot;  /* of formats that hold one value */
    unsigned rank;     /* of the place in its tool's order */
    bool is_file;      /* messages name a line */
};

/* Notes a base URL that the text names at `line` for `slot`, unless an earlier place has filled that slot
 * (an empty slot is filled by all).
 * What is not http or https is left out; -1 where such a URL is broken, or there are too many. */
MUST_USE int place_add(struct place *p, struct slice slot, struct slice url, unsigned line, struct err *e);
/* "~/.npmrc:3: <message>"; -1. */
int place_wrong(const struct place *p, unsigned line, struct err *e, const char *fmt, ...) PRINTF(4, 5);
/* Another file that the text names (a list of mirrors), below `root`; its lines go to `slot`. */
MUST_USE int place_add_file(struct place *p, struct slice slot, struct slice path, unsigned line,
                            struct err *e);

typedef int registry_format(struct place *p, struct slice text, struct err *e);

/* Lines: registries_lines.c. */
registry_format read_url;         /* one URL, for p->slot */
registry_format read_pip_urls;    /* URLs between spaces, without their last part /simple; for p->slot */
registry_format read_goproxy;     /* GOPROXY: URLs between "," and "|"; `direct` and `off` are none */
registry_format read_npmrc;       /* npm(1) config files: registry=, @scope:registry= */
registry_format read_npmjs;       /* npm's own table of settings, for the default of `registry` */
registry_format read_pip;         /* pip.conf: index-url, extra-index-url of any section */
registry_format read_goenv;       /* go help env: NAME=VALUE lines, GOPROXY among them */
registry_format read_apt_lines;   /* sources.list(5), one-line style */
registry_format read_apt_stanzas; /* sources.list(5), deb822 style */
/* registries_toml.c */
registry_format read_cargo_url; /* an index with or without sparse+ */
registry_format read_cargo;     /* cargo's config.toml: [source.*], [registries.*] */
/* registries_xml.c */
registry_format read_maven; /* settings.xml: mirrors, and the repositories of profiles */
/* registries_yaml.c */
registry_format read_gemrc;  /* gem(1) configuration: `:sources:` */
registry_format read_bundle; /* bundle-config(1): BUNDLE_MIRROR__... */

/* What one text says where nothing was found before; files that it names are looked for below `root`. */
MUST_USE int registries_read(registry_format *read, const char *root, struct slice text, struct registries **ret,
                             struct err *e);

/* The next line, its number counted on, without "\r" and surrounding blanks; ret_indented: it began with a
 * blank. */
bool line_next(struct slice *rest, unsigned *line, struct slice *ret, bool *ret_indented);
/* Splits "key = value" at the first of the characters; both trimmed. */
bool line_split(struct slice line, const char *separators, struct slice *ret_key, struct slice *ret_value);
/* The value without quotes around all of it. */
struct slice line_unquote(struct slice value);
