/* What makes browsers trust our CA: they have roots of their own and heed no variable, but a policy of the
 * machine's administrator.  In a jail that is a file of ours. */
#pragma once
#include "base/buf.h"

/* For Chromium and Chrome: the CA as `CACertificates` of a managed policy (chromeenterprise.google/policies). */
MUST_USE int browser_chromium_policy(struct slice ca_pem, struct buf *out);
/* For Firefox: the path of the CA's file as `Certificates.Install` (policies.json). */
MUST_USE int browser_firefox_policy(const char *ca_path, struct buf *out);
