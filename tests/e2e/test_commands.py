"""The commands around the proxy: run, env, ca, check, policy, log, why."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from lib import paths, processes
from lib.certs import openssl
from lib.namespace import PUBLIC

PROJECT = """\
exeat: 1
allow:
  - name: read
    host: www.public.test
    paths: [/ok/**]
"""

VARIABLES = """SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO PIP_CERT BUNDLE_SSL_CA_CERT
npm_config_cafile AWS_CA_BUNDLE CARGO_HTTP_CAINFO DENO_CERT CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE NIX_SSL_CERT_FILE""".split()


def exeat(*arguments, cwd=None, env=None, stdin=None, timeout=30):
    return subprocess.run([str(paths.EXEAT), *map(str, arguments)], capture_output=True, text=True, cwd=cwd, input=stdin,
                          env={"PATH": os.environ["PATH"], **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")},
                               **(env or {})}, timeout=timeout)


# --- run ---


@pytest.fixture
def project(tmp_path):
    """A git work tree with a policy, somebody's own and not below their home."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".exeat.yaml").write_text(PROJECT)
    subprocess.run(["git", "init", "-q", str(folder)], check=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    (tmp_path / "home").mkdir()
    return folder


@pytest.fixture
def run(project, namespace, tmp_path):
    """exeat run in the project, inside the namespace."""
    if paths.NO_JAILS:
        pytest.skip("no jails under the thread sanitizer")

    def run(*command, options=("--policy", ".exeat.yaml"), cwd=project, env=None, start=False):
        line = namespace.run([paths.EXEAT, "run", *options, "--", *command], cwd, as_self=True)
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path / "home"), "XDG_STATE_HOME": str(tmp_path / "state"),
                     **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}, **(env or {})}
        if start:
            return subprocess.Popen(line, cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    stdin=subprocess.DEVNULL, text=True)
        return subprocess.run(line, cwd=cwd, env=variables, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    return run


def run_records(tmp_path):
    files = sorted((tmp_path / "state" / "exeat" / "audit").glob("*.jsonl"))
    return [json.loads(line) for line in files[-1].read_text().splitlines()]


def test_run_lets_curl_reach_what_the_policy_names_and_nothing_else(run, name_server, public, tmp_path):
    name_server.zone["www.public.test"] = [PUBLIC]
    done = run("curl", "-sS", "-w", "%{http_code}\n", "https://www.public.test/ok/x", "https://www.public.test/other",
               "https://evil.test/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok200\n")
    assert "path-not-allowed" in done.stdout and "host-not-allowed" in done.stdout and done.stdout.count("403\n") == 2
    assert name_server.names() == {"www.public.test"}
    assert [r.target for r in public.requests] == ["/ok/x"]
    records = run_records(tmp_path)
    assert [r["verdict"] for r in records if r["kind"] == "request"] == ["allow", "block", "block"]
    assert records[0]["kind"] == "start" and {r["run"] for r in records} == {records[0]["run"]}
    verified = exeat("log", "--log", next((tmp_path / "state/exeat/audit").glob("*.jsonl")), "--verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_run_sums_up_at_the_end(run):
    done = run("true")
    assert done.returncode == 0 and done.stdout == ""
    assert "0 requests allowed, 0 blocked" in done.stderr and "last record" in done.stderr
    assert run("true", options=("--policy", ".exeat.yaml", "--quiet")).stderr == ""


@pytest.mark.parametrize("command, code", [
    (["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -TERM $$"], 128 + 15), (["sh", "-c", "kill -KILL $$"], 128 + 9),
    (["no-such-command-anywhere"], 127), (["/etc/passwd"], 126), (["./no/such/path"], 127)],
    ids=["success", "its-own", "terminated", "killed", "not-found", "not-executable", "no-such-path"])
def test_run_returns_what_the_command_returned(run, command, code):
    assert run(*command).returncode == code


def test_run_passes_arguments_and_streams_unchanged(run):
    done = run("printf", "%s|", "a b", "", "--help", "$HOME", "*")
    assert done.stdout == "a b||--help|$HOME|*|"


def test_run_without_a_policy_blocks_everything_and_says_how_to_write_one(run, project, name_server):
    (project / ".exeat.yaml").unlink()
    done = run("curl", "-sS", "-w", "%{http_code}", "https://www.public.test/ok/x", options=())
    assert done.stdout.endswith("403") or done.stdout.endswith("503"), done.stdout + done.stderr
    assert "policy" in done.stderr and ("allow:" in done.stderr or "exeat init" in done.stderr), done.stderr
    assert name_server.queries == []


def test_run_with_a_broken_policy_starts_nothing(run, project):
    (project / ".exeat.yaml").write_text("exeat: 1\nallow:\n  - {host: a.test, pathes: [/]}\n")
    done = run("touch", "started")
    assert done.returncode == 125 and ".exeat.yaml:3:" in done.stderr
    assert not (project / "started").exists()


@pytest.mark.parametrize("again", range(5))
def test_run_passes_a_signal_on_and_leaves_nothing_behind(run, again):
    """Sent as early as can be: it was the end of `exeat run` itself when it came right after the command's start."""
    process = run("sleep", "60", start=True)
    family = paths.wait_until(lambda: "sleep" in (found := processes.below(process.pid)).values() and found,
                              "the command runs", step=0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM
    process.communicate()
    paths.wait_until(lambda: not any(map(processes.is_alive, family)), f"all of {family} have gone", 5)


def test_run_keeps_its_ca_in_memory_only(run, tmp_path, name_server, public):
    name_server.zone["www.public.test"] = [PUBLIC]
    done = run("sh", "-c", 'curl -sS https://www.public.test/ok/x; grep -c BEGIN "$SSL_CERT_FILE"')
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.removeprefix("ok")) > 50, "the system's roots and ours"
    for folder, _, names in os.walk(tmp_path / "state"):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                assert b"PRIVATE KEY" not in f.read()


# --- env and ca ---


def test_env_is_evaluated_by_sh(shared):
    done = shared.cli("env", "--config", shared.config, "--task", "widgets")
    assert done.returncode == 0, done.stderr
    out = subprocess.run(["sh", "-ec", done.stdout + "\nenv"], env={"PATH": os.environ["PATH"], "NO_PROXY": "*"}, capture_output=True,
                         text=True, check=True).stdout
    env = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)  # no value has a line end
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        assert f":{shared.token('widgets')}@127.0.0.1:" in env[name], env.get(name)
    assert env["NO_PROXY"] == env["no_proxy"] == ""
    for name in VARIABLES:
        assert os.path.isabs(env[name]) and os.path.exists(env[name]), name
    ours = shared.ca.read_text().strip()
    assert ours in open(env["SSL_CERT_FILE"], encoding="ascii").read()
    assert open(env["NODE_EXTRA_CA_CERTS"], encoding="ascii").read().count("BEGIN CERTIFICATE") >= 1
    assert "-Djavax.net.ssl.trustStore=" in env["JAVA_TOOL_OPTIONS"] and "-Dhttps.proxyPort=" in env["JAVA_TOOL_OPTIONS"]


@pytest.mark.parametrize("form", ["fish", "json", "dotenv"])
def test_env_has_other_forms(shared, form):
    done = shared.cli("env", "--config", shared.config, "--task", "widgets", "--format", form)
    assert done.returncode == 0, done.stderr
    for name in VARIABLES:
        assert name in done.stdout
    if form == "json":
        assert set(VARIABLES) < set(json.loads(done.stdout))


def test_env_of_a_task_that_does_not_exist_is_an_error(shared):
    done = shared.cli("env", "--config", shared.config, "--task", "nobody")
    assert done.returncode == 2 and "nobody" in done.stderr and done.stdout == ""


def test_a_java_trust_store_opens_and_has_our_certificate(shared):
    options = shared.client_env()["JAVA_TOOL_OPTIONS"]
    settings = dict(word[2:].split("=", 1) for word in options.split() if word.startswith("-D") and "=" in word)
    store, password = settings["javax.net.ssl.trustStore"], settings.get("javax.net.ssl.trustStorePassword", "changeit")
    if paths.program("keytool"):
        done = subprocess.run(["keytool", "-list", "-keystore", store, "-storepass", password], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.count("trustedCert") > 50, done.stdout
    with open(store, "rb") as f:
        assert openssl("x509", "-in", shared.ca, "-outform", "DER") in f.read(), "our certificate stands in it"


def test_ca_export_prints_the_certificate_and_never_the_key(shared):
    done = shared.cli("ca", "export", "--config", shared.config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("-----END CERTIFICATE-----") and "PRIVATE" not in done.stdout
    assert openssl("x509", "-noout", "-fingerprint", stdin=done.stdout.encode()) == openssl("x509", "-noout", "-fingerprint", "-in", shared.ca)
    shown = shared.cli("ca", "show", "--config", shared.config)
    assert shown.returncode == 0 and "exeat CA" in shown.stdout


# --- check and policy ---

POLICY = """\
exeat: 1
task: widgets
allow:
  - name: read our issues
    host: api.github.com
    paths: [/repos/acme/widgets/**]
  - POST https://ingest.example.com/v1/rows
deny:
  - host: "**.pastebin.com"
    message: Paste sites are not for work data.
"""


@pytest.fixture
def policy(tmp_path):
    (tmp_path / ".exeat.yaml").write_text(POLICY)
    return tmp_path


@pytest.mark.parametrize("method, url, code, expected", [
    ("GET", "https://api.github.com/repos/acme/widgets/issues", 0, {"verdict": "allow", "reason": None, "mismatch": []}),
    ("GET", "https://API.github.com:443/repos/acme/x/../widgets/%69ssues?q=1", 0,
     {"verdict": "allow", "canonical": "https://api.github.com/repos/acme/widgets/issues?q=1"}),
    ("POST", "https://api.github.com/repos/acme/widgets/issues", 1,
     {"verdict": "block", "reason": "method-not-allowed", "status": 403, "mismatch": ["method"], "rule": None}),
    ("GET", "https://api.github.com/repos/acme/widgets-evil", 1, {"reason": "path-not-allowed", "mismatch": ["path"]}),
    ("GET", "https://evil.test/", 1, {"reason": "host-not-allowed", "nearest": None}),
    ("GET", "https://x.pastebin.com/", 1, {"reason": "denied-by-rule"}),
    ("POST", "https://ingest.example.com/v1/rows", 0, {"verdict": "allow"}),
    ("GET", "https://api.github.com/a%2fb", 1, {"reason": "ambiguous-target", "status": 400}),
    ("GET", "not a url", 2, None), ("GE T", "https://api.github.com/", 2, None),
])
def test_check_judges_as_the_proxy_does(policy, method, url, code, expected):
    done = exeat("check", "--policy", policy / ".exeat.yaml", "--json", method, url)
    assert done.returncode == code, done.stdout + done.stderr
    if expected is not None:
        answer = json.loads(done.stdout)
        assert set(answer) >= {"verdict", "reason", "status", "method", "url", "canonical", "rule", "nearest", "mismatch", "mode"}
        assert {key: answer[key] for key in expected} == expected
        assert answer["method"] == method


def test_check_reads_lines_and_its_status_is_that_of_the_worst(policy):
    lines = "GET https://api.github.com/repos/acme/widgets/x\nPOST https://evil.test/\n"
    done = exeat("check", "--policy", policy / ".exeat.yaml", "--json", "-", stdin=lines)
    assert done.returncode == 1
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()] == ["allow", "block"]
    assert exeat("check", "--policy", policy / ".exeat.yaml", "-", stdin=lines + "nonsense\n").returncode == 2
    assert exeat("check", "--policy", policy / ".exeat.yaml", "-", stdin=lines.split("\n", 1)[0] + "\n").returncode == 0


def test_check_explains_in_words(policy):
    done = exeat("check", "--policy", policy / ".exeat.yaml", "DELETE", "https://api.github.com/repos/acme/widgets/x")
    assert done.returncode == 1
    assert "method-not-allowed" in done.stdout and "read our issues" in done.stdout and ".exeat.yaml:4" in done.stdout



@pytest.mark.parametrize("field, reason", [
    ("Upgrade: websocket", "upgrade-denied"),
    ("Host: evil.test", "authority-mismatch"),
    ("Host: api.github.com:444", "authority-mismatch"),
    ("Host: API.github.com:443", None),
])
def test_check_knows_what_the_proxy_refuses_whatever_the_policy_says(policy, field, reason):
    done = exeat("check", "--policy", policy / ".exeat.yaml", "--json", "--header", field, "GET",
                 "https://api.github.com/repos/acme/widgets/x")
    assert json.loads(done.stdout)["reason"] == reason


def test_check_without_a_policy_blocks_everything_or_says_so(tmp_path):
    done = exeat("check", "GET", "https://api.github.com/", cwd=tmp_path, env={"HOME": str(tmp_path)})
    assert done.returncode in (1, 2) and "allow:" in done.stdout + done.stderr, "it says how to write one"


def test_check_and_proxy_agree_on_a_table_of_urls(shared, raw, nginx):
    """The same words from the command and from the wire."""
    urls = ["https://api.test/v1/x", "https://api.test/private", "https://api.test/v1/secret/x", "https://nowhere.test/",
            "https://api.test/v1/../v1/x", "https://api.test/a%2Fb", "https://files.test/files/small.txt", "https://raw.test/any/thing"]
    for url in urls:
        for method in ("GET", "DELETE"):
            judged = json.loads(exeat("check", "--policy", shared.folder / "widgets.yaml", "--json", method, url).stdout)
            mark = shared.mark()
            response = shared.client().get(url, method=method)
            assert response.reason == judged["reason"], (method, url)
            assert shared.one_record(mark)["verdict"] == judged["verdict"], (method, url)


def test_policy_show_prints_what_is_in_force(policy):
    done = exeat("policy", "show", policy / ".exeat.yaml")
    if done.returncode == 2:
        done = exeat("policy", "show", "--policy", policy / ".exeat.yaml")
    assert done.returncode == 0, done.stderr
    for word in ("api.github.com", "ingest.example.com", "pastebin.com", "2 hosts"):
        assert word in done.stdout, done.stdout


# --- log ---


def test_log_prints_records_for_people(shared, raw):
    shared.client().get("https://raw.test/for-people")
    done = shared.cli("log", "--config", shared.config)
    assert done.returncode == 0
    assert "https://raw.test/for-people" in done.stdout
    assert all(ord(c) >= 32 or c in "\n\t" for c in done.stdout), "no control reaches the terminal"


def test_log_json_is_the_lines_as_they_are(shared, raw):
    shared.client().get("https://raw.test/as-they-are")
    done = shared.cli("log", "--config", shared.config, "--json")
    assert done.returncode == 0
    written = shared.audit.read_text().splitlines()
    assert done.stdout.splitlines() == written[:len(done.stdout.splitlines())]
    assert len(done.stdout.splitlines()) > 1


def test_log_follow_shows_records_as_they_come(shared, raw):
    follower = subprocess.Popen(shared.command("log", "--config", shared.config, "--follow"), stdout=subprocess.PIPE, env=shared.env)
    try:
        time.sleep(0.3)
        shared.client().get("https://raw.test/followed")
        os.set_blocking(follower.stdout.fileno(), False)
        seen = []
        paths.wait_until(lambda: seen.append(follower.stdout.read() or b"") or b"raw.test/followed" in b"".join(seen), "it is shown")
    finally:
        follower.terminate()
        follower.wait(5)
        follower.stdout.close()


def test_query_values_that_look_secret_are_not_in_the_log(shared, raw):
    shared.client().get("https://raw.test/q?access_token=Zm9vYmFyYmF6cXV4&short=ok&long=" + "v" * 200)
    line = shared.audit.read_text().splitlines()[-1]
    assert "Zm9vYmFyYmF6cXV4" not in line and "short=ok" in line and "v" * 100 not in line


# --- why ---


def test_why_explains_the_block_whose_id_the_answer_names(shared, raw):
    page = shared.client().get("https://api.test/other", method="DELETE").text
    found = re.search(r"exeat why ([0-9A-Z]{26})$", page, re.M)
    assert found, page
    done = shared.cli("why", "--config", shared.config, found.group(1))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("block: DELETE ") and "method-not-allowed" in done.stdout, done.stdout
    assert "to do" in done.stdout and "widgets" in done.stdout
    assert "http" not in done.stdout.split("\n")[0], "a blocked URL is no link"


def test_why_json_is_the_line_as_it_stands_in_the_log(shared, raw):
    mark = shared.mark()
    shared.client().get("https://raw.test/why")
    record = shared.one_record(mark)
    done = shared.cli("why", "--config", shared.config, "--json", record["id"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and done.stdout[:-1] in shared.audit.read_text().splitlines()
    assert json.loads(done.stdout) == record
    assert shared.cli("why", "--log", shared.audit, "--json", record["id"]).stdout == done.stdout
    assert shared.cli("why", "--log", shared.audit.parent, "--json", record["id"]).stdout == done.stdout


def test_why_of_what_is_not_in_the_log_is_status_1_and_says_where_to_look(shared):
    done = shared.cli("why", "--config", shared.config, "0" * 26)
    assert done.returncode == 1 and done.stdout == ""
    assert "0" * 26 in done.stderr and "--log" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["short"], ["0" * 26, "0" * 26], ["--nonsense", "0" * 26],
                                       ["--config", "/nonexistent/exeat.yaml", "0" * 26],
                                       ["--log", "/nonexistent/log", "0" * 26]])
def test_why_wants_one_id_and_a_configuration_that_is_there(arguments, tmp_path):
    done = exeat("why", *arguments, cwd=tmp_path, env={"HOME": str(tmp_path)})
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("exeat why: "), done.stderr


@pytest.mark.parametrize("command", ["run", "proxy", "check", "policy", "env", "ca", "log", "why"])
def test_every_command_has_help(command):
    done = exeat(command, "--help")
    assert done.returncode == 0 and done.stdout.startswith("Usage") or "exeat " + command in done.stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["check", "--nonsense"], ["proxy"], ["env", "--format", "nonsense"], ["log", "--log"]])
def test_what_is_not_understood_is_status_2_and_said_on_standard_error(arguments, tmp_path):
    done = exeat(*arguments, cwd=tmp_path, env={"HOME": str(tmp_path)})
    assert done.returncode == 2 and done.stdout == "" and done.stderr
