/* The public keys of seals: STATE/seal.pub.
 *
 * A line each, "ed25519 HEX", the oldest first.  A key is added when a CA is new; those before it stay, since
 * logs that they have sealed are still there.  Whoever wants to check a log elsewhere takes this file along.
 */
#pragma once
#include "audit/verify.h"

/* Cuts the key off the keeper's IPC_READY text; what is left is the CA certificate. */
MUST_USE int seal_keys_cut(struct slice *text, char ret_hex[2 * ED25519_KEY_BYTES + 1], struct err *e);
/* Makes sure that the key stands in the folder's file. */
MUST_USE int seal_keys_add(const char *folder, const char *hex, struct err *e);
/* No file is no keys. */
MUST_USE int seal_keys_read(const char *folder, struct verify_keys *ret, struct err *e);
