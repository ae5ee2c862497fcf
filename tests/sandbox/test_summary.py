"""What a run says at its end: what left, what was blocked and why, what nobody inspected, and where the log is."""

import json
import re

import pytest

from lib import paths
from world import UNPRIVILEGED, World

POLICY = """\
exeat: 1
task: summary
{mode}allow:
  - {{name: plain, host: plain.test, scheme: http, paths: [/yes/**], methods: [GET, POST]}}
  - {{name: opaque, host: api.test, tls: passthrough}}
"""


@pytest.fixture(scope="module")
def world(nginx, plain_origin, origin_ca):
    one = World(UNPRIVILEGED if paths.IS_ROOT else None)
    one.options = one.configure(origin_ca.cert, [f"api.test:443:127.0.0.1:{nginx.tls_port}",
                                                 f"plain.test:80:127.0.0.1:{plain_origin.port}"])
    yield one
    one.close()


def run(world, script, mode="", options=()):
    (world.top / "policy.yaml").write_text(POLICY.format(mode=mode))
    done = world.jail("sh", "-c", script, options=[*world.options, *options])
    assert done.returncode == 0, done.stderr
    return done.stderr


def get(*paths_of_plain):
    return "; ".join(f"curl -s -o /dev/null http://plain.test{path}" for path in paths_of_plain)


def test_what_was_allowed_and_blocked_is_counted_by_reason(world):
    said = run(world, get("/yes/1", "/yes/2", "/no") + "; curl -s -o /dev/null -X PUT http://plain.test/yes/1"
               "; curl -s -o /dev/null http://nobody.test/")
    counted = re.search(r"exeat run: 2 requests allowed, 3 blocked \((.*)\); (\d+) bytes sent", said)
    assert counted and set(counted[1].split(", ")) == {"path-not-allowed 1", "method-not-allowed 1", "host-not-allowed 1"}, said
    assert int(counted[2]) == sum(r["sent"] for r in world.records("request")) > 0
    assert "not inspected" not in said and "monitor" not in said


def test_tunnels_that_nobody_inspected_are_counted(world):
    said = run(world, "curl -sk -o /dev/null https://api.test/v1/x; curl -sk -o /dev/null https://api.test/v1/y; true")
    records = world.records("tunnel")
    out, into = sum(r["sent"] for r in records), sum(r["received"] for r in records)
    assert len(records) == 2 and out > 0 and into > 0
    assert (f"exeat run: not inspected: 2 tunnels (tls: passthrough), {out} bytes out of the jail, {into} into it\n" in said), said


def test_one_tunnel_is_one(world):
    assert "not inspected: 1 tunnel (tls: passthrough), " in run(world, "curl -sk -o /dev/null https://api.test/v1/x; true")


def test_what_left_although_the_policy_would_block_it_is_counted_in_mode_monitor(world):
    said = run(world, get("/yes/1", "/no", "/no/2"), mode="mode: monitor\n")
    assert "3 requests allowed, 0 blocked; " in said
    assert "mode monitor: 2 of them left that the policy would block" in said


def test_the_last_record_that_is_named_is_the_head_of_a_whole_chain(world):
    said = run(world, get("/yes/1"))
    log, head, key = re.search(r"log (\S+), last record (\d+:[0-9a-f]{64}), seals by key ([0-9a-f]{64})", said).groups()
    verify = [world.exeat, "log", "--verify", "--json", "--log", log, "--head", head, "--seal-key", key]
    done = world.run(verify)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["ok"] and f"{verdict['last']}:{verdict['head']}" == head and verdict["seals"] > 0
    world.run(["sh", "-c", 'sed -i "\\$d" "$0"', log])
    cut = world.run(verify)
    assert cut.returncode == 1 and not json.loads(cut.stdout)["ok"], "a cut tail"


def test_quiet_says_nothing(world):
    assert "exeat run:" not in run(world, get("/yes/1", "/no"), options=["--quiet"])


def test_no_summary_hides_the_exit_status(world):
    done = world.jail("sh", "-c", "exit 7", options=world.options)
    assert done.returncode == 7 and "0 requests allowed, 0 blocked; 0 bytes sent" in done.stderr
    done = world.run(["sh", "-c", f"{world.exeat} run --policy {world.top}/policy.yaml -- true 2>/dev/full"])
    assert done.returncode == 0, "whoever does not read it does not change it"
