/* What a run of a stranger hands to a daemon (app/control.h): a bundle with a policy and what that extends.
 *
 * What must hold: whatever is taken says nothing that a stranger may not say, and is under the site's word.
 */
#include "app/config_control.h"
#include "app/proxy_guests.h"
#include "base/io.h"
#include "policy/jail.h"
#include "policy/model.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES = 1 << 20, COUNTERS = 4 };

static struct load *load;
static struct bundle *site;
static struct budgets *budgets;

static void must(bool holds)
{
    if (!holds)
        abort();
}

static int seal(struct slice bytes)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    must(fd >= 0 && io_write_all(fd, bytes) == 0);
    must(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0);
    return fd;
}

static struct bundle *open_one(enum bundle_kind kind, const char *name, const char *text)
{
    AUTO_BUF out = BUF_INIT(BYTES);
    struct bundle *b = NULL;
    must(bundle_append(&out, kind, name, slice_str(text), NULL) == 0);
    AUTO_FD int fd = bundle_seal(&out, NULL);
    must(fd >= 0 && bundle_open(fd, &b, NULL) == 0);
    return b;
}

static void set_up(void)
{
    static const char config[] = "exeat: 1\ncontrol: {socket: s, addresses: [10.1.0.0/16]}\n";
    static const char word[] = "exeat: 1\ndeny: [{name: site, host: '**.denied.test'}]\n";
    struct bundle *b = open_one(BUNDLE_CONFIG, "exeat.yaml", config);
    must(load_bundle(b, LOAD_CHECK, NULL, NULL, &load, NULL) == 0);
    bundle_free(b);
    site = open_one(BUNDLE_SITE, "site.yaml", word);
    must(budgets_attach(calloc(1, budgets_bytes(COUNTERS)), budgets_bytes(COUNTERS), &budgets, NULL) == 0);
}

static void must_be_under_the_sites_word(const struct policy *p)
{
    struct arena arena = ARENA_INIT(BYTES);
    struct http_target target;
    struct http_problem problem;
    struct verdict v;
    const struct request_facts facts = {.method = SLICE("GET")};
    must(http_url_parse(&arena, SLICE("https://a.denied.test/x"), &target, &problem) == 0);
    policy_match(p, &target, &facts, &v);
    must(v.kind == VERDICT_BLOCK && v.reason == REASON_DENIED_BY_RULE);
    arena_free(&arena);
}

static void must_be_a_strangers(const struct policy *p)
{
    must(policy_jail(p)->service_count == 0 && policy_jail(p)->publish_count == 0);
    for (size_t i = 0; i < policy_rule_count(p); i++) {
        size_t count;
        const struct policy_net *nets = policy_rule_addresses(policy_rule_at(p, i), &count);
        for (size_t k = 0; k < count; k++)
            must(config_control_lends(load->config, &nets[k]));
    }
}

static void look_at(const struct proxy_guests *guests)
{
    struct proxy_settings settings;
    struct proxy_task_settings *tasks;
    must(proxy_guests_settings(guests, &load->settings, &settings, &tasks, NULL) == 0);
    must(settings.task_count == 1 && settings.tasks[0].jailed && !settings.tasks[0].has_token);
    must_be_a_strangers(settings.tasks[0].policy);
    must_be_under_the_sites_word(settings.tasks[0].policy);
    free(tasks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_guests guests;
    struct err e = {0};
    if (!load)
        set_up();
    proxy_guests_init(&guests);
    AUTO_FD int fd = seal(slice_of(size ? (const char *)data : "", size));
    const struct guest_options o = {.id = 1,
                                    .task = "1000/fuzz",
                                    .uid = 1000,
                                    .bundle = fd,
                                    .load = load,
                                    .site = site,
                                    .budgets = budgets};
    if (proxy_guests_add(&guests, &o, &e) < 0)
        must(e.text[0] != '\0' && guests.count == 0);
    else
        look_at(&guests);
    proxy_guests_clear(&guests);
    return 0;
}
