/* Connections that a jail's programs meant for somebody else, and that its nftables led to us.
 *
 * Where to, the kernel says (SO_ORIGINAL_DST); if that address is a synthetic one, the authority is the name
 * that it was made for, else the IP literal.  The captured address itself is never dialled for a name.  The
 * client's first bytes say what it speaks: a TLS ClientHello is terminated by its SNI, which must be the
 * authority's name (and absent for a literal), plain HTTP is judged by its Host; anything else is closed and
 * recorded (tunnel-not-tls; port-denied where no rule allows anything on that host and port). */
#pragma once
#include "proxy/conn.h"

/* What the first bytes of a connection are.  Pure. */
enum capture_kind { CAPTURE_MORE, CAPTURE_TLS, CAPTURE_HTTP, CAPTURE_OTHER };
enum { CAPTURE_SNIFF_BYTES = 64 };
enum capture_kind capture_classify(struct slice first);

/* A connection accepted on a capture listener: CONN_SNIFF, or closed already.  `ask`: see client.h. */
void capture_begin(struct conn *c, int ask);
bool capture_step(struct conn *c);
/* In CONN_SNIFF when exeat stops: it ends, recorded as it stands. */
void capture_cut(struct conn *c);
