/* The environment that leads programs through the proxy (app/env.h) and the files it points at
 * (app/trustfiles.h). */
#include "app/env_print.h"
#include "app/trustfiles.h"
#include "base/io.h"
#include "tls/ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEEN_MAX = 64, VALUE_BYTES = 1024 };

struct seen {
    struct {
        char name[64], value[VALUE_BYTES];
    } at[SEEN_MAX];
    size_t count;
};

static int note(void *arg, const char *name, const char *value)
{
    struct seen *s = arg;
    assert_true(s->count < SEEN_MAX);
    snprintf(s->at[s->count].name, sizeof s->at[0].name, "%s", name);
    snprintf(s->at[s->count].value, sizeof s->at[0].value, "%s", value);
    s->count++;
    return 0;
}

static const char *value_of(const struct seen *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->at[i].name, name) == 0)
            return s->at[i].value;
    fail_msg("%s is not set", name);
    return NULL;
}

static struct seen walk(const struct env_inputs *in)
{
    struct seen s = {.count = 0};
    struct err e;
    if (env_each(in, note, &s, &e) < 0)
        fail_msg("%s", e.text);
    return s;
}

static const struct env_inputs plain = {
    .proxy_host = "127.0.0.1",
    .proxy_port = 3128,
    .task = "widgets",
    .token = {"s3cret", 6},
    .bundle = "/state/ca-bundle.pem",
    .ca = "/state/ca.pem",
    .trust_store = "/state/truststore.jks",
};

static void every_variable_of_the_interface_has_its_value(void **state)
{
    (void)state;
    static const char url[] = "http://widgets:s3cret@127.0.0.1:3128", bundle[] = "/state/ca-bundle.pem";
    static const char *const expected[][2] = {
        {"HTTP_PROXY", url},
        {"HTTPS_PROXY", url},
        {"ALL_PROXY", url},
        {"http_proxy", url},
        {"https_proxy", url},
        {"all_proxy", url},
        {"NO_PROXY", ""},
        {"no_proxy", ""},
        {"SSL_CERT_FILE", bundle},
        {"REQUESTS_CA_BUNDLE", bundle},
        {"CURL_CA_BUNDLE", bundle},
        {"NODE_EXTRA_CA_CERTS", "/state/ca.pem"},
        {"GIT_SSL_CAINFO", bundle},
        {"PIP_CERT", bundle},
        {"BUNDLE_SSL_CA_CERT", bundle},
        {"npm_config_cafile", bundle},
        {"AWS_CA_BUNDLE", bundle},
        {"CARGO_HTTP_CAINFO", bundle},
        {"DENO_CERT", bundle},
        {"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", bundle},
        {"NIX_SSL_CERT_FILE", bundle},
        {"NODE_USE_ENV_PROXY", "1"},
    };
    struct seen s = walk(&plain);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_string_equal(value_of(&s, expected[i][0]), expected[i][1]);
    assert_string_equal(value_of(&s, "JAVA_TOOL_OPTIONS"),
                        "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 -Dhttps.proxyHost=127.0.0.1 "
                        "-Dhttps.proxyPort=3128 -Dhttp.nonProxyHosts= "
                        "-Djavax.net.ssl.trustStore=/state/truststore.jks "
                        "-Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=JKS");
    assert_int_equal(s.count, ARRAY_LEN(expected) + 1);
}

static void proxy_urls_escape_what_could_be_read_otherwise(void **state)
{
    (void)state;
    static const struct {
        const char *host, *task;
        struct slice token;
        const char *url;
    } cases[] = {
        {"127.0.0.1", NULL, {NULL, 0}, "http://127.0.0.1:3128"},
        {"::1", NULL, {NULL, 0}, "http://[::1]:3128"},
        {"::1", "t", {"x", 1}, "http://t:x@[::1]:3128"},
        {"127.0.0.1", "t", {"a@evil:1/?#[]%", 14}, "http://t:a%40evil%3A1%2F%3F%23%5B%5D%25@127.0.0.1:3128"},
        {"127.0.0.1", "t", {"a'b \"$`\\\n", 9}, "http://t:a%27b%20%22%24%60%5C%0A@127.0.0.1:3128"},
        {"127.0.0.1", "t", {"\xc3\xbc~-._", 6}, "http://t:%C3%BC~-._@127.0.0.1:3128"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct env_inputs in = plain;
        in.proxy_host = cases[i].host;
        in.task = cases[i].task;
        in.token = cases[i].token;
        struct seen s = walk(&in);
        assert_string_equal(value_of(&s, "https_proxy"), cases[i].url);
    }
}

static void java_options_quote_a_path_with_spaces(void **state)
{
    (void)state;
    struct env_inputs in = plain;
    in.trust_store = "/my state/t.jks";
    struct seen s = walk(&in);
    assert_non_null(
        strstr(value_of(&s, "JAVA_TOOL_OPTIONS"), " \"-Djavax.net.ssl.trustStore=/my state/t.jks\" "));
}

static int refuse(void *arg, const char *name, const char *value)
{
    (void)arg;
    (void)value;
    return strcmp(name, "PIP_CERT") == 0 ? -1 : 0;
}

static void a_variable_that_cannot_be_set_is_named(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(env_each(&plain, refuse, NULL, &e), -1);
    assert_string_equal(e.text, "PIP_CERT: cannot be set");
}

/* A path with all that a shell or a file could take for its own. */
static const char hard[] = "/a b'c\\d$e`f\"g;h*";

static const char *print_line(enum env_format format, const char *ca, const char *start, struct buf *out)
{
    struct err e;
    struct env_inputs in = plain;
    in.ca = ca;
    buf_clear(out);
    if (env_print(format, &in, out, &e) < 0)
        fail_msg("%s", e.text);
    const char *line = strstr(buf_cstr(out), start);
    assert_non_null(line);
    return line;
}

static void assert_starts(const char *text, const char *start)
{
    if (strncmp(text, start, strlen(start)) != 0)
        fail_msg("\"%.60s\" does not start with \"%s\"", text, start);
}

static void each_format_quotes_in_its_own_way(void **state)
{
    (void)state;
    static const struct {
        enum env_format format;
        const char *name, *ca, *line;
    } rows[] = {
        {ENV_FORMAT_SH, "export NODE_EXTRA", hard, "export NODE_EXTRA_CA_CERTS='/a b'\\''c\\d$e`f\"g;h*'\n"},
        {ENV_FORMAT_SH, "export NO_PROXY", "/ca", "export NO_PROXY=''\nexport no_proxy=''\n"},
        {ENV_FORMAT_FISH, "set -gx NODE_EXTRA", hard,
         "set -gx NODE_EXTRA_CA_CERTS '/a b\\'c\\\\d$e`f\"g;h*'\n"},
        {ENV_FORMAT_FISH, "set -gx NO_PROXY", "/ca", "set -gx NO_PROXY ''\n"},
        {ENV_FORMAT_JSON, "\"NODE_EXTRA", hard, "\"NODE_EXTRA_CA_CERTS\":\"/a b'c\\\\d$e`f\\\"g;h*\","},
        {ENV_FORMAT_JSON, "{", "/ca", "{\"HTTP_PROXY\":\"http://widgets:s3cret@127.0.0.1:3128\","},
        {ENV_FORMAT_DOTENV, "HTTP_PROXY", "/ca", "HTTP_PROXY=http://widgets:s3cret@127.0.0.1:3128\n"},
        {ENV_FORMAT_DOTENV, "NODE_EXTRA", "/a b#$c\"", "NODE_EXTRA_CA_CERTS='/a b#$c\"'\n"},
        {ENV_FORMAT_DOTENV, "NODE_EXTRA", "/it's", "NODE_EXTRA_CA_CERTS=\"/it's\"\n"},
        {ENV_FORMAT_DOTENV, "NO_PROXY", "/ca", "NO_PROXY=\nno_proxy=\n"},
        {ENV_FORMAT_DOTENV, "JAVA_TOOL", "/ca", "JAVA_TOOL_OPTIONS='-Dhttp.proxyHost=127.0.0.1 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF out = BUF_INIT(1 << 16);
        assert_starts(print_line(rows[i].format, rows[i].ca, rows[i].name, &out), rows[i].line);
    }
}

static void json_is_one_object_on_one_line(void **state)
{
    (void)state;
    AUTO_BUF out = BUF_INIT(1 << 16);
    print_line(ENV_FORMAT_JSON, "/ca", "{", &out);
    struct slice text = buf_slice(&out);
    assert_true(slice_ends(text, SLICE("\"}\n")));
    assert_int_equal(slice_find(text, '\n'), text.len - 1);
}

static void dotenv_refuses_what_its_readers_read_differently(void **state)
{
    (void)state;
    static const char *const paths[] = {hard, "/a'b$c", "/a\\b", "/a\nb", "/a\rb", "/a'b\"c"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        AUTO_BUF out = BUF_INIT(1 << 16);
        struct env_inputs in = plain;
        struct err e;
        in.ca = paths[i];
        assert_int_equal(env_print(ENV_FORMAT_DOTENV, &in, &out, &e), -1);
        assert_starts(e.text, "NODE_EXTRA_CA_CERTS: ");
    }
}

static void formats_are_found_by_their_names(void **state)
{
    (void)state;
    static const char *const names[] = {"sh", "fish", "json", "dotenv"};
    enum env_format f = ENV_FORMAT_COUNT;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(env_format_of(names[i], &f), 0);
        assert_int_equal(f, i);
    }
    f = ENV_FORMAT_COUNT;
    assert_int_equal(env_format_of("csh", &f), -1);
    assert_int_equal(f, ENV_FORMAT_COUNT);
}

static char *read_text(const char *path, struct buf *into)
{
    struct err e;
    buf_clear(into);
    if (io_read_file(path, into, &e) < 0)
        fail_msg("%s", e.text);
    return into->data + into->start;
}

static void trust_files_are_written_for_everybody_to_read(void **state)
{
    (void)state;
    struct err e = {0};
    struct trustfiles paths;
    struct stat st;
    char dir[] = "/tmp/exeat-trustfiles-XXXXXX";
    AUTO(ca) *ca = NULL;
    AUTO_BUF pem = BUF_INIT(8192), got = BUF_INIT(1 << 16);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(ca_new("trust files", 2, &ca, &e) | ca_cert_pem(ca, &pem, &e), 0);
    mode_t mask = umask(077);
    if (trustfiles_write(dir, buf_slice(&pem), buf_slice(&pem), &e) < 0 ||
        trustfiles_paths(dir, &paths, &e) < 0)
        fail_msg("%s", e.text);
    umask(mask);
    const char *const files[] = {paths.ca, paths.bundle, paths.java};
    const size_t sizes[] = {buf_len(&pem), 2 * buf_len(&pem), 0};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        assert_int_equal(files[i][0], '/');
        assert_int_equal(stat(files[i], &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        const char *text = read_text(files[i], &got);
        if (sizes[i])
            assert_int_equal(buf_len(&got), sizes[i]);
        assert_memory_equal(text, i == 2 ? "\xfe\xed\xfe\xed" : pem.data, 4);
        assert_int_equal(unlink(files[i]), 0);
    }
    assert_int_equal(rmdir(dir), 0); /* no temporary file is left */
}

static void trust_files_of_a_state_folder_to_come_have_absolute_paths(void **state)
{
    (void)state;
    struct err e;
    struct trustfiles paths;
    assert_int_equal(trustfiles_paths("no/such/folder", &paths, &e), 0);
    assert_int_equal(paths.bundle[0], '/');
    assert_non_null(strstr(paths.bundle, "/no/such/folder/ca-bundle.pem"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_variable_of_the_interface_has_its_value),
        cmocka_unit_test(proxy_urls_escape_what_could_be_read_otherwise),
        cmocka_unit_test(java_options_quote_a_path_with_spaces),
        cmocka_unit_test(a_variable_that_cannot_be_set_is_named),
        cmocka_unit_test(each_format_quotes_in_its_own_way),
        cmocka_unit_test(json_is_one_object_on_one_line),
        cmocka_unit_test(dotenv_refuses_what_its_readers_read_differently),
        cmocka_unit_test(formats_are_found_by_their_names),
        cmocka_unit_test(trust_files_are_written_for_everybody_to_read),
        cmocka_unit_test(trust_files_of_a_state_folder_to_come_have_absolute_paths),
    };
    return cmocka_run_group_tests_name("app_env", tests, NULL, NULL);
}
