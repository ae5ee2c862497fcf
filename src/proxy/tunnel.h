/* A CONNECT whose rule says `tls: passthrough`: bytes both ways, not inspected.
 *
 * After the 200 the client's ClientHello is read, its server name held against the CONNECT (a record and the end
 * where they differ, or where it is no TLS), and only then is the origin resolved, judged and dialled.  From there
 * on each side's bytes go to the other through one bounded buffer; the end of one side is passed on, the end of
 * both is the end.  Budgets count every byte sent, and a reload judges it again.  The record is of kind `tunnel`,
 * and says `not inspected`; where it never opened, `connect`. */
#pragma once
#include "proxy/exchange.h"

/* The verdict allows the CONNECT, and is opaque. */
void tunnel_begin(struct exchange *x);
/* The step of CONN_TUNNEL. */
bool tunnel_step(struct conn *c);
/* Whether it has room for more from the client. */
bool tunnel_wants_client(const struct conn *c);
/* Its deadline (TIMER_TUNNEL) has come. */
void tunnel_late(struct exchange *x);
void tunnel_judge_again(struct exchange *x, const struct proxy_snapshot *snapshot);
