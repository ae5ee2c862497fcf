/* What a certificate says about itself, for people. */
#pragma once
#include "base/crypto.h"
#include "base/err.h"

enum { CERT_SUBJECT_BYTES = 256 };

struct cert_facts {
    char subject[CERT_SUBJECT_BYTES]; /* "O=exeat, CN=…": ASCII, all else escaped (RFC 2253) */
    int64_t not_before, not_after;    /* Unix seconds */
    char sha256[SHA256_HEX + 1];      /* of the DER form, lower-case */
};

/* Of the first certificate in a PEM text. */
MUST_USE int cert_describe(struct slice pem, struct cert_facts *ret, struct err *e);
