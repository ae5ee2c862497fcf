/* The files by which programs come to trust our CA.  The supervisor writes them into the state directory when
 * it starts; `exeat env` points at them.  They hold certificates only: readable by everybody, no secret. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum { TRUSTFILE_PATH_BYTES = 4096 };

struct trustfiles {
    char ca[TRUSTFILE_PATH_BYTES];     /* ca.pem: our CA alone */
    char bundle[TRUSTFILE_PATH_BYTES]; /* ca-bundle.pem: our CA and the system's roots */
    char java[TRUSTFILE_PATH_BYTES];   /* truststore.jks: the same for JVMs */
};

/* Where they are, absolute, whether or not they exist. */
MUST_USE int trustfiles_paths(const char *state_dir, struct trustfiles *ret, struct err *e);
/* Writes all three, each replaced as a whole (io_place_file), 0644.  `state_dir` exists already.
 * system_pem: roots_read_system of tls/roots.h. */
MUST_USE int trustfiles_write(const char *state_dir, struct slice ca_pem, struct slice system_pem,
                              struct err *e);
