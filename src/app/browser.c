#include "app/browser.h"

#include "base/json.h"

/* The lines between BEGIN and END of the first certificate (RFC 7468): base64, as the policy wants it. */
static int append_base64(struct slice pem, struct buf *out)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----\n";
    const char *from = memmem(pem.ptr, pem.len, begin, sizeof begin - 1);
    if (!from)
        return -1;
    from += sizeof begin - 1;
    for (; from < pem.ptr + pem.len && *from != '-'; from++)
        if (*from != '\n' && buf_append(out, slice_of(from, 1)) < 0)
            return -1;
    return 0;
}

int browser_chromium_policy(struct slice ca_pem, struct buf *out)
{
    AUTO_BUF body = BUF_INIT(out->max);
    if (append_base64(ca_pem, &body) < 0)
        return -1;
    struct json j = JSON_INIT(out);
    json_object(&j);
    json_key(&j, "CACertificates");
    json_array(&j);
    json_slice(&j, buf_slice(&body));
    json_array_end(&j);
    json_object_end(&j);
    return j.failed ? -1 : 0;
}

int browser_firefox_policy(const char *ca_path, struct buf *out)
{
    struct json j = JSON_INIT(out);
    json_object(&j);
    json_key(&j, "policies");
    json_object(&j);
    json_key(&j, "Certificates");
    json_object(&j);
    json_key(&j, "Install");
    json_array(&j);
    json_str(&j, ca_path);
    json_array_end(&j);
    json_object_end(&j);
    json_object_end(&j);
    json_object_end(&j);
    return j.failed ? -1 : 0;
}
