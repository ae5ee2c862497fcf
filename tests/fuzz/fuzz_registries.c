/* Configurations of package managers: the first byte says which of the readers gets the rest.
 *
 * What must hold: what is found are base URLs in canonical form, without credentials, query or fragment, none
 * twice; each of them, read again, is the same. */
#include "app/registries_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The order is that of the first bytes in corpus/registries: add at the end. */
static registry_format *const readers[] = {
    read_url,       read_pip_urls,    read_goproxy,   read_npmrc, read_npmjs, read_pip,   read_goenv,
    read_apt_lines, read_apt_stanzas, read_cargo_url, read_cargo, read_maven, read_gemrc, read_bundle,
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void must_be_a_base(const char *url)
{
    const char *host = strstr(url, "://");
    must(host && (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0));
    must(!strpbrk(url, "?#*\"<>\\") && host[3] != '/' && host[3] != '\0' && url[strlen(url) - 1] != '/');
    must(!memchr(host + 3, '@', strcspn(host + 3, "/")));
    for (const char *c = url; *c; c++)
        must((unsigned char)*c > 0x20 && (unsigned char)*c < 0x7f);
}

static void must_read_back(const char *url)
{
    AUTO(registries) *again = NULL;
    struct err e;
    must(registries_read(read_url, "/dev/null", slice_str(url), &again, &e) == 0);
    must(again->count == 1 && strcmp(again->at[0].url, url) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(registries) *found = NULL;
    struct err e = {0};
    if (size == 0)
        return 0;
    registry_format *reader = readers[data[0] % ARRAY_LEN(readers)];
    if (registries_read(reader, "/dev/null", slice_of((const char *)data + 1, size - 1), &found, &e) < 0) {
        must(e.text[0] != '\0');
        return 0;
    }
    must(found->count <= REGISTRIES_MAX);
    for (size_t i = 0; i < found->count; i++) {
        must_be_a_base(found->at[i].url);
        must_read_back(found->at[i].url);
        for (size_t k = 0; k < i; k++)
            must(strcmp(found->at[k].url, found->at[i].url) != 0);
    }
    return 0;
}
