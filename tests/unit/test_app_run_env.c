/* What of the caller's environment a jailed command gets. */
#include "app/run_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct env_inputs proxy = {.proxy_host = "127.0.0.1",
                                        .proxy_port = 3128,
                                        .bundle = "/run/exeat/bundle.pem",
                                        .ca = "/run/exeat/ca.pem",
                                        .trust_store = "/run/exeat/store.jks",
                                        .jailed = true};

/* NULL: not there. */
static const char *value_of(const char *const *list, const char *name)
{
    size_t len = strlen(name);
    const char *found = NULL;
    for (; *list; list++)
        if (strncmp(*list, name, len) == 0 && (*list)[len] == '=') {
            assert_null(found); /* no name twice */
            found = *list + len + 1;
        }
    return found;
}

static const char *const *make(struct arena *a, char *const *caller, const struct policy_jail *jail,
                               const char *const *more, const char *const *keep)
{
    const struct run_env_inputs in = {.caller = caller,
                                      .jail = jail,
                                      .proxy = &proxy,
                                      .home = "/home/a",
                                      .user = "a",
                                      .directory = "/home/a/p",
                                      .more = more,
                                      .keep = keep};
    const char *const *list, *const *dropped;
    struct err e;
    *a = ARENA_INIT(4 << 20);
    if (run_environment(a, &in, &list, &dropped, &e) < 0)
        fail_msg("%s", e.text);
    return list;
}

static void what_stays_and_what_does_not(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        bool stays;
    } cases[] = {
        {"LANG", "C.UTF-8", true},
        {"TERM", "xterm", true},
        {"PATH", "/usr/bin", true},
        {"EDITOR", "vim", true},
        {"CI", "true", true},
        {"MAX_TOKENS", "100", true},
        {"KEYBOARD", "de", true},
        {"MONKEY", "1", true},
        {"TOKENIZERS", "1", true},
        {"EMPTY", "", true},
        {"GITHUB_ACTOR", "me", false},
        {"MY_TOKEN", "x", false},
        {"my_token", "x", false},
        {"NPM_TOKEN", "x", false},
        {"TOKEN", "x", false},
        {"DB_PASSWORD", "x", false},
        {"OPENAI_API_KEY", "x", false},
        {"AWS_PROFILE", "x", false},
        {"SSH_AUTH_SOCK", "/x", false},
        {"DBUS_SESSION_BUS_ADDRESS", "x", false},
        {"XDG_RUNTIME_DIR", "/x", false},
        {"DOCKER_HOST", "x", false},
        {"KUBECONFIG", "/x", false},
        {"GIT_SSH_COMMAND", "x", false},
        {"EXEAT_X", "x", false},
        {"BASH_FUNC_x%%", "() { :; }", false},
        {"RSYNC_PROXY", "x", false},
        {"ftp_proxy", "x", false},
        {"HARMLESS", "ghp_0123", false},
        {"HARMLESS", "sk-ant-0123", false},
        {"HARMLESS", "AKIA0123", false},
        {"HARMLESS", "skate", true},
        {"DATABASE_URL", "x", false},
        {"SENTRY_DSN", "x", false},
        {"npm_config_//x/:_auth", "x", false},
    };
    const struct policy_jail jail = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        char text[100];
        snprintf(text, sizeof text, "%s=%s", cases[i].name, cases[i].value);
        char *const caller[] = {text, NULL};
        const char *value = value_of(make(&a, caller, &jail, NULL, NULL), cases[i].name);
        if (cases[i].stays && (!value || strcmp(value, cases[i].value) != 0))
            fail_msg("%s does not stay", text);
        if (!cases[i].stays && value && strcmp(value, cases[i].value) == 0)
            fail_msg("%s stays", text);
        arena_free(&a);
    }
}

static void the_policy_keeps_and_sets(void **state)
{
    (void)state;
    struct arena a;
    const char *const keep[] = {"MY_TOKEN"}, *const logins[] = {"ANTHROPIC_API_KEY", NULL};
    const struct policy_variable set[] = {{"NEW", "1"}, {"HTTP_PROXY", "mine"}};
    const struct policy_jail jail = {.keep = keep, .keep_count = 1, .set = set, .set_count = 2};
    char *const caller[] = {(char[]){"MY_TOKEN=a"}, (char[]){"ANTHROPIC_API_KEY=b"},
                            (char[]){"OTHER_TOKEN=c"}, (char[]){"HTTPS_PROXY=http://elsewhere"}, NULL};
    const char *const *list = make(&a, caller, &jail, NULL, logins);
    assert_string_equal(value_of(list, "MY_TOKEN"), "a");
    assert_string_equal(value_of(list, "ANTHROPIC_API_KEY"), "b");
    assert_null(value_of(list, "OTHER_TOKEN"));
    assert_string_equal(value_of(list, "NEW"), "1");
    assert_string_equal(value_of(list, "HTTP_PROXY"), "mine");
    assert_string_equal(value_of(list, "HTTPS_PROXY"), "http://127.0.0.1:3128");
    assert_string_equal(value_of(list, "NO_PROXY"), "localhost,127.0.0.1,::1");
    assert_string_equal(value_of(list, "HOME"), "/home/a");
    assert_string_equal(value_of(list, "PWD"), "/home/a/p");
    assert_non_null(strstr(value_of(list, "JAVA_TOOL_OPTIONS"), "nonProxyHosts=localhost|127.*"));
    arena_free(&a);
}

static void pairs_for_git_are_continued(void **state)
{
    (void)state;
    struct arena a;
    const struct policy_jail jail = {0};
    char *const caller[] = {(char[]){"GIT_CONFIG_COUNT=5"}, (char[]){"GIT_CONFIG_KEY_4=core.pager"}, NULL};
    const char *const more[] = {"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=user.name", "GIT_CONFIG_VALUE_0=A",
                                NULL};
    const char *const *list = make(&a, caller, &jail, more, NULL);
    uint64_t count = 0;
    assert_int_equal(slice_to_u64(slice_str(value_of(list, "GIT_CONFIG_COUNT")), 100, &count), 0);
    assert_true(count > 2);
    assert_string_equal(value_of(list, "GIT_CONFIG_KEY_0"), "user.name");
    assert_string_equal(value_of(list, "GIT_CONFIG_KEY_1"), "url.https://github.com/.insteadOf");
    assert_string_equal(value_of(list, "GIT_CONFIG_VALUE_1"), "git@github.com:");
    for (unsigned i = 0; i < count; i++) {
        char name[40];
        snprintf(name, sizeof name, "GIT_CONFIG_KEY_%u", i);
        assert_non_null(value_of(list, name));
        assert_string_not_equal(value_of(list, name), "core.pager");
        snprintf(name, sizeof name, "GIT_CONFIG_VALUE_%u", i);
        assert_non_null(value_of(list, name));
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stays_and_what_does_not),
        cmocka_unit_test(the_policy_keeps_and_sets),
        cmocka_unit_test(pairs_for_git_are_continued),
    };
    return cmocka_run_group_tests_name("app/run_env", tests, NULL, NULL);
}
