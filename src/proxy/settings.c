#include "proxy/settings.h"

#include "base/caps.h"

enum { SECOND = 1000000000 };

void proxy_settings_defaults(struct proxy_settings *s)
{
    *s = (struct proxy_settings){
        .blocked_connect = BLOCKED_CONNECT_EXPLAIN,
        .limits = {.head_size = CAP_HEAD_BYTES, .connections_per_task = 1000, .connections_per_source = 10000},
        .timeouts =
            {
                .head = 10ll * SECOND,
                .connect = 10ll * SECOND,
                .tls_handshake = 10ll * SECOND,
                .response_head = 120ll * SECOND,
                .idle = 300ll * SECOND,
                .body_stall = 60ll * SECOND,
                .shutdown = 30ll * SECOND,
            },
    };
}
