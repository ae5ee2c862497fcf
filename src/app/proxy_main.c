/* The proxy role: reads hostile bytes.  It holds no CA key and opens no file but the audit log's. */
#include "app/proxy_role.h"
#include "app/role.h"
#include "base/log.h"

int main(void)
{
    struct ipc ipc;
    struct err e = {0};
    log_set_name("exeat proxy");
    if (role_enter(IPC_PROXY, &ipc, &e) < 0) {
        log_error("%s", e.text);
        return 2;
    }
    return proxy_role(&ipc);
}
