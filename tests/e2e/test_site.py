"""`site`: the operator's deny rules and limits hold for every task, whatever its policy says."""

import json

import pytest

from conftest import POLICY

SITE = """\
exeat: 1
deny:
  - {name: never there, host: second.test, message: The operator forbids it.}
limits: {requests: 3/hour}
"""


def test_its_deny_rules_win_over_every_policy(start):
    exeat = start(policies={"widgets": POLICY, "gadgets": POLICY}, extra="site: ./site.yaml", make={"site.yaml": SITE})
    for task in ("widgets", "gadgets"):
        response = exeat.client(task).get("https://second.test/")
        assert (response.status, response.reason) == (403, "denied-by-rule")
        assert b"The operator forbids it." in response.body
    rule = exeat.records("request")[-1]["rule"]
    assert rule["name"] == "never there" and rule["line"] == 3
    assert rule["file"].startswith("site:") and rule["file"].endswith("/site.yaml")


def test_its_limits_are_a_ceiling_for_each_task(start, raw):
    exeat = start(policies={"widgets": POLICY}, extra="site: ./site.yaml", make={"site.yaml": SITE})
    answers = [exeat.client().get("https://raw.test/").status for _ in range(4)]
    assert answers == [200, 200, 200, 429]


def test_a_reload_of_it_counts_at_once(start, raw):
    exeat = start(policies={"widgets": POLICY}, extra="site: ./site.yaml", make={"site.yaml": "exeat: 1\n"})
    assert exeat.client().get("https://raw.test/").status == 200
    (exeat.folder / "site.yaml").write_text("exeat: 1\ndeny: [{name: no more, host: raw.test}]\n")
    exeat.reload()
    assert exeat.client().get("https://raw.test/").reason == "denied-by-rule"


def test_check_judges_as_the_proxy_does(prepare):
    """Under the site's rules, and in the mode that the operator has given the task."""
    exeat = prepare(policies={"widgets": POLICY}, extra="site: ./site.yaml", make={"site.yaml": SITE},
                    tasks="  - {task: widgets, policy: ./widgets.yaml, token: t, mode: monitor}\n")
    denied = exeat.cli("check", "--config", exeat.config, "--json", "GET", "https://second.test/")
    said = json.loads(denied.stdout)
    assert denied.returncode == 1 and said["reason"] == "denied-by-rule" and said["mode"] == "monitor"
    assert said["rule"]["file"].startswith("site:") and said["rule"]["line"] == 3
    relaxed = exeat.cli("check", "--config", exeat.config, "--json", "GET", "https://nobody.test/")
    assert relaxed.returncode == 0 and json.loads(relaxed.stdout)["reason"] == "host-not-allowed"


def test_check_says_that_the_sites_rules_cannot_be_read(prepare):
    exeat = prepare(policies={"widgets": POLICY}, extra="site: ./nowhere.yaml")
    done = exeat.cli("check", "--config", exeat.config, "GET", "https://second.test/")
    assert done.returncode == 2 and "nowhere.yaml" in done.stderr


WRONG = {
    "allow": ("exeat: 1\nallow: [GET https://raw.test/**]\n", "2:1", "`allow` is for the policies of tasks"),
    "extends": ("exeat: 1\nextends: [npm]\n", "2:1", "`extends` is for the policies of tasks"),
    "mode": ("exeat: 1\nmode: monitor\n", "2:1", "`mode` is for the policies of tasks"),
    "a wrong rule": ("exeat: 1\ndeny: [{host: 7}]\n", "2:", ""),
    "no format": ("deny: []\n", "1:1", "has no `exeat`"),
    "nothing there": (None, "", "site.yaml"),
}


@pytest.mark.parametrize("tasks", [None, "  []"], ids=["with-tasks", "without"])
@pytest.mark.parametrize("text, place, what", WRONG.values(), ids=[n.replace(" ", "-") for n in WRONG])
def test_what_is_wrong_with_it_ends_the_start(prepare, text, place, what, tasks):
    exeat = prepare(policies={"widgets": POLICY}, extra="site: ./site.yaml", tasks=tasks,
                  make={"site.yaml": text} if text is not None else {})
    done = exeat.cli("proxy", "--config", exeat.config)
    assert done.returncode == 2
    assert (f"site.yaml:{place}" if place else "site.yaml") in done.stderr and what in done.stderr
