/* exeat trust: a person's word that a project's policy may take effect. */
#include "app/trust.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/project.h"
#include "cli/trust_prompt.h"

#include <stdio.h>

enum { SHOWN_BYTES = 32 << 20 };

struct trust_options {
    bool show, revoke, first;
};

static const struct option_row rows[] = {
    OPTION_FLAG(struct trust_options, show, "show", "only print what it allows and whether it is trusted (status 1: not)"),
    OPTION_FLAG(struct trust_options, revoke, "revoke", "take the trust back"),
    OPTION_FLAG(struct trust_options, first, "first", "only where no policy of this project was ever trusted"),
};

static const struct option_usage usage = {
    .synopsis = "exeat trust [OPTION] [DIR]",
    .about = "A policy that lies in a project is somebody else's word: anybody who may write there may have changed\n"
             "it.  This prints what " PROJECT_POLICY
             " of the project (default: that of the working directory) allows, or what\n"
             "has changed since it was trusted, and lets exactly this text, with what it extends by path, take\n"
             "effect.  After each change `exeat run` asks again.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

static int complain(const struct err *e)
{
    fprintf(stderr, "exeat trust: %s\n", e->text);
    return EXIT_ERROR;
}

static int print_description(const struct project_policy *p, const struct trust_record *record, struct err *e)
{
    AUTO_BUF text = BUF_INIT(SHOWN_BYTES);
    if (trust_describe(p, record, &text) < 0)
        return err_set(e, "%s: it does not load, so it cannot be trusted", p->project.policy);
    fwrite(text.data + text.start, 1, buf_len(&text), stdout);
    return 0;
}

/* A record that cannot be read is as good as none here: it is written anew, or taken away. */
static struct trust_record *find_record(const struct project_policy *p)
{
    struct err e;
    struct trust_record *record = NULL;
    if (trust_read(p->project.policy, &record, &e) < 0)
        complain(&e);
    return record;
}

static int show(const struct project_policy *p, const struct trust_record *record, bool covered)
{
    struct err e;
    if (print_description(p, covered ? NULL : record, &e) < 0)
        return complain(&e);
    if (covered)
        printf("trusted since %s\n", record->time);
    else
        printf("%s\n", record ? "not trusted since it has changed" : "not trusted");
    return covered ? EXIT_OK : EXIT_FINDINGS;
}

static int store(const struct project_policy *p, const struct trust_record *record)
{
    struct err e;
    if (project_check_place(&p->project, &e) < 0 || print_description(p, record, &e) < 0 ||
        trust_write(p->project.policy, p->files, p->file_count, &e) < 0)
        return complain(&e);
    fprintf(stderr, "exeat trust: %s is trusted from now on, as it stands\n", p->project.policy);
    return EXIT_OK;
}

static int take_back(const struct project_policy *p)
{
    struct err e;
    int result = trust_forget(p->project.policy, &e);
    if (result < 0)
        return complain(&e);
    fprintf(stderr, "exeat trust: %s %s\n", p->project.policy,
            result == 1 ? "was not trusted" : "is no longer trusted");
    return EXIT_OK;
}

static int act(const struct trust_options *o, const struct project_policy *p)
{
    if (o->revoke)
        return take_back(p);
    AUTO(trust_record) *record = find_record(p);
    bool covered = trust_covers(record, p->files, p->file_count);
    if (o->show)
        return show(p, record, covered);
    return o->first && record ? EXIT_OK : store(p, covered ? NULL : record);
}

/* Trust is taken back also from a policy that is no longer there, or cannot be read. */
static int start(const struct trust_options *o, const char *dir)
{
    struct err e;
    struct project_policy p = {0};
    int found = o->revoke ? (dir ? project_at(dir, &p.project, &e) : project_find(&p.project, &e))
                          : project_policy_read(NULL, dir, &p, &e);
    if (found < 0)
        return complain(&e);
    int status;
    if (found == 1) {
        err_set(&e, "there is no %s, so there is nothing to trust (`exeat init` writes one)", p.project.policy);
        status = o->first ? EXIT_OK : complain(&e);
    } else {
        status = act(o, &p);
    }
    project_policy_clear(&p);
    return status;
}

int cmd_trust(int argc, char **argv)
{
    struct trust_options o = {0};
    int first;
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    if (o.show + o.revoke + o.first > 1)
        return options_wrong("trust", "--show, --revoke and --first exclude each other");
    if (argc - first > 1)
        return options_wrong("trust", "one DIR at most");
    return start(&o, argv[first]);
}
