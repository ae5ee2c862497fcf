/* The system's trusted roots, and the stores by which clients come to trust our CA besides them. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum { ROOTS_BYTES_MAX = 8 << 20 };

/* The system's roots as PEM, from the file where this kind of system keeps them; `out` takes at most
 * ROOTS_BYTES_MAX.  Where there is no such file, nothing is appended and that is no error: whoever needs
 * roots notices (tls_trust_new).  The environment (SSL_CERT_FILE) is not asked: it may be an agent's. */
MUST_USE int roots_read_system(struct buf *out, struct err *e);

/* Our CA, then the system's roots, as one PEM text: for variables that replace a program's own roots. */
MUST_USE int roots_bundle(struct slice ca_pem, struct slice system_pem, struct buf *out, struct err *e);

/* The password that java.security documents for the default trust store; it protects nothing. */
#define ROOTS_JAVA_PASSWORD "changeit"
#define ROOTS_JAVA_TYPE     "JKS"
/* The certificates of a PEM text as a Java key store of trusted certificates (JKS, version 2), which every
 * JVM since 1.2 reads, whatever type it takes for its default.  PKCS #12 would need an attribute of Oracle's
 * for each certificate to be trusted at all. */
MUST_USE int roots_java_store(struct slice bundle_pem, int64_t now_ms, struct buf *out, struct err *e);
