/* A new CA in place of the old (`exeat ca rotate`).
 *
 * The former certificate stays beside the new one, as CERT.old, so that the bundle of trust files holds both: what
 * an agent has in hand, and what certificates are signed with from now on.  Key and certificate are two files, and
 * two renames are two steps: both are written whole as KEY.new and CERT.new first, the key is put in place before
 * the certificate, and a rotation that was cut off between the two is completed by the next one. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* Makes it and puts it in place.  The process that signs is told by app/reload_socket.h. */
MUST_USE int carotate(const char *cert, const char *key, struct err *e);
/* Appends the former certificate, PEM; nothing where there is none. */
MUST_USE int carotate_read_former(const char *cert, struct buf *out, struct err *e);
