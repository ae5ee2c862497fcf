/* exeat ca: show, export and replace the certificate authority. */
#include "app/carotate.h"
#include "app/config.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/daemon_config.h"
#include "cli/options.h"
#include "cli/reload_call.h"
#include "tls/describe.h"
#include "tls/roots.h"

#include <ctype.h>
#include <stdio.h>

enum { CA_BYTES_MAX = 64 << 10, LINE_BYTES = 8192 };

struct ca_options {
    const char *config;
    bool json, bundle;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct ca_options, config, "config", "FILE",
                "the configuration that names the CA (" DEFAULT_CONFIG ")"),
    OPTION_FLAG(struct ca_options, json, "json", "show: one JSON object"),
    OPTION_FLAG(struct ca_options, bundle, "bundle",
                "export: with the system's roots, to replace a program's own"),
};

static const struct option_usage usage = {
    .synopsis = "exeat ca show [OPTION]...\n       exeat ca export [--bundle] [OPTION]...\n"
                "       exeat ca rotate [OPTION]...",
    .about =
        "show prints whose certificate the proxy signs with, how long it is valid, and its SHA-256 fingerprint.\n"
        "export prints the certificate as PEM: give it to programs that shall use the proxy. The private key\n"
        "is never printed. The CA is made when `exeat proxy` first starts with a configuration.\n"
        "rotate makes a new one and lets a running proxy sign with it. The former certificate stays in the bundle\n"
        "of trust files (CERT.old), so that what was signed with it is still trusted; programs that hold the\n"
        "former certificate alone must be started anew. Remove CERT.old when none is left.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

static int complain(const struct err *e)
{
    fprintf(stderr, "exeat ca: %s\n", e->text);
    return EXIT_ERROR;
}

static int read_certificate(const struct config *config, struct buf *pem, struct cert_facts *ret,
                            struct err *e)
{
    if (io_read_file(config->ca.cert, pem, e) < 0)
        return err_wrap(e, "the CA certificate (made when `exeat proxy` first starts)");
    if (cert_describe(buf_slice(pem), ret, e) < 0)
        return err_wrap(e, "%s", config->ca.cert);
    return 0;
}

/* "AB:CD:…", as openssl(1) and browsers show it. */
static void print_fingerprint(const char *hex)
{
    for (size_t i = 0; hex[i]; i += 2)
        printf("%s%c%c", i ? ":" : "", toupper((unsigned char)hex[i]), toupper((unsigned char)hex[i + 1]));
    putchar('\n');
}

static int show_json(const char *file, const struct cert_facts *f, bool expired)
{
    char begin[CLOCK_RFC3339_BYTES], end[CLOCK_RFC3339_BYTES];
    AUTO_BUF text = BUF_INIT(LINE_BYTES);
    struct json j = JSON_INIT(&text);
    clock_rfc3339(f->not_before * 1000, begin);
    clock_rfc3339(f->not_after * 1000, end);
    json_object(&j);
    json_kv_str(&j, "subject", f->subject);
    json_kv_str(&j, "not_before", begin);
    json_kv_str(&j, "not_after", end);
    json_kv_bool(&j, "expired", expired);
    json_kv_str(&j, "sha256", f->sha256);
    json_kv_str(&j, "file", file);
    json_object_end(&j);
    if (j.failed)
        return complain(&(struct err){.text = "no memory"});
    printf("%.*s\n", SLICE_FMT(buf_slice(&text)));
    return EXIT_OK;
}

static int show(const char *file, const struct cert_facts *f, bool json)
{
    char begin[CLOCK_RFC3339_BYTES], end[CLOCK_RFC3339_BYTES];
    bool expired = f->not_after * 1000 <= clock_wall_ms();
    if (json)
        return show_json(file, f, expired);
    clock_rfc3339(f->not_before * 1000, begin);
    clock_rfc3339(f->not_after * 1000, end);
    printf("subject      %s\n", f->subject);
    printf("valid from   %.10s\n", begin);
    printf("valid until  %.10s%s\n", end, expired ? "  EXPIRED" : "");
    printf("SHA-256      ");
    print_fingerprint(f->sha256);
    printf("certificate  %s\n", file);
    return EXIT_OK;
}

static int export(struct slice pem, bool bundle)
{
    struct err e = {0};
    AUTO_BUF system = BUF_INIT(ROOTS_BYTES_MAX), all = BUF_INIT(2 * ROOTS_BYTES_MAX);
    if (!bundle) {
        fwrite(pem.ptr, 1, pem.len, stdout);
        return EXIT_OK;
    }
    if (roots_read_system(&system, &e) < 0 || roots_bundle(pem, buf_slice(&system), &all, &e) < 0)
        return complain(&e);
    fwrite(all.data + all.start, 1, buf_len(&all), stdout);
    return EXIT_OK;
}

static int rotate(const struct config *config)
{
    struct err e = {0};
    if (carotate(config->ca.cert, config->ca.key, &e) < 0)
        return complain(&e);
    int status = reload_call("ca", config->state, RELOAD_KEEPER, slice_str(NULL), &e);
    if (status == RELOAD_NOBODY)
        printf("there is a new CA; no proxy runs with this configuration, so the next start signs with it\n");
    else if (status < 0)
        return complain(&e);
    return status > 0 && status != RELOAD_NOBODY ? EXIT_ERROR : EXIT_OK;
}

static int check_words(const struct ca_options *o, int count, char **words)
{
    if (count == 0)
        return options_wrong("ca", "say what: show, export or rotate");
    if (strcmp(words[0], "show") != 0 && strcmp(words[0], "export") != 0 && strcmp(words[0], "rotate") != 0)
        return options_wrong("ca", "there is no `ca %s`; there is show, export and rotate", words[0]);
    if (count > 1)
        return options_wrong("ca", "one word too many: %s", words[1]);
    if (o->bundle && strcmp(words[0], "export") != 0)
        return options_wrong("ca", "--bundle belongs to export");
    if (o->json && strcmp(words[0], "show") != 0)
        return options_wrong("ca", "--json belongs to show");
    return EXIT_OK;
}

int cmd_ca(int argc, char **argv)
{
    struct ca_options o = {0};
    struct cert_facts facts;
    struct err e = {0};
    int first;
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    if (check_words(&o, argc - first, argv + first) != EXIT_OK)
        return EXIT_ERROR;
    AUTO(config) *config = NULL;
    AUTO_BUF pem = BUF_INIT(CA_BYTES_MAX);
    if (daemon_config_load("ca", o.config, &config) < 0)
        return EXIT_ERROR;
    if (strcmp(argv[first], "rotate") == 0)
        return rotate(config);
    if (read_certificate(config, &pem, &facts, &e) < 0)
        return complain(&e);
    return strcmp(argv[first], "show") == 0 ? show(config->ca.cert, &facts, o.json)
                                            : export(buf_slice(&pem), o.bundle);
}
