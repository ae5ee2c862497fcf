"""exeat itself: a configuration on disk, the running proxy, its records, and an end that leaves nothing behind."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time

from . import paths, processes
from .client import Client

TOKEN = "s3cret-widgets"

CONFIG = """\
exeat: 1
listen: [{listen}]
workers: {workers}
state: ./state
audit: {{file: ./audit.jsonl}}
ca: {{cert: ./ca.pem, key: ./ca.key}}
reload: {reload}
{extra}
upstream:
  ca_file: {roots}
  resolve: [{resolve}]
tasks:
{tasks}
"""


class Exeat:
    """One configuration in a folder of its own, and the proxy that runs by it."""

    def __init__(self, folder, policies, roots, resolve=(), tasks=None, extra="", workers=2, namespace=None,
                 listen=None, config=None, reload="signal", make=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.namespace = namespace
        self.process = None
        self.port = None
        self.expected_exit = 0
        self.check_chain = True
        self.env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder / "home"),
                    **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}
        (self.folder / "home").mkdir(exist_ok=True)
        for task, text in policies.items():
            self.write_policy(text, task)
        for name, text in (make or {}).items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(text)
        if tasks is None:
            tasks = "".join(f"  - {{task: {t}, policy: ./{t}.yaml, token: {self.token(t)}}}\n" for t in policies)
        self.config_text = config or CONFIG.format(
            listen=listen or f"127.0.0.1:{paths.free_port()}", workers=workers, extra=extra, reload=reload, roots=roots, tasks=tasks,
            resolve=", ".join(f'"{line}"' for line in resolve))
        self.config = self.folder / "exeat.yaml"
        self.write_config(self.config_text)

    @staticmethod
    def token(task):
        return TOKEN if task == "widgets" else f"s3cret-{task}"

    # --- files ---

    def write_policy(self, text, task="widgets"):
        path = self.folder / f"{task}.yaml"
        path.write_text(text)
        return path

    def write_config(self, text):
        self.config.write_text(text)
        self.config.chmod(0o600)

    @property
    def ca(self):
        return self.folder / "ca.pem"

    @property
    def audit(self):
        return self.folder / "audit.jsonl"

    # --- running ---

    def command(self, *arguments):
        line = [str(paths.EXEAT), *map(str, arguments)]
        return self.namespace.run(line, self.folder) if self.namespace else line

    def cli(self, *arguments, stdin=None, env=None, cwd=None, timeout=30):
        """Another exeat command, to its end."""
        return subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True,
                              env={**self.env, **(env or {})}, cwd=cwd or self.folder, timeout=timeout)

    def spawn(self, preexec=None, env=None):
        """Starts without waiting for anything."""
        self.stderr_path = self.folder / "stderr"
        with open(self.stderr_path, "ab") as err:
            self.process = subprocess.Popen(self.command("proxy", "--config", self.config), stderr=err, stdout=err,
                                            stdin=subprocess.DEVNULL, env={**self.env, **(env or {})},
                                            cwd=self.folder, preexec_fn=preexec)
        return self

    def start(self, preexec=None, env=None):
        self.spawn(preexec, env)
        self.port = paths.wait_until(self._ready_port, f"exeat proxy is ready\n{self.stderr()}", 30)
        self.family = processes.below(self.process.pid)
        return self

    def _ready_port(self):
        code = self.process.poll()
        assert code is None, f"exeat proxy ended with {code}: {self.stderr()}"
        for line in self.stderr().splitlines():
            found = re.search(r":(\d+)\b", line) if "ready" in line else None
            if found:
                return int(found.group(1))
        return None

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def pid_of(self, role):
        """The process id of keeper or proxy."""
        found = [p for p, name in processes.below(self.process.pid).items() if name == role]
        assert len(found) == 1, f"{role}: {processes.below(self.process.pid)}"
        return found[0]

    def reload(self, policy=None, task="widgets", config=None):
        """Writes the new text, sends SIGHUP, waits until it is on record; returns that record."""
        if policy is not None:
            self.write_policy(policy, task)
        if config is not None:
            self.write_config(config)
        with open(self.audit, "rb") as log:
            log.seek(0, os.SEEK_END)
            seen = []

            def recorded():
                seen.append(log.read())
                return next((line for line in b"".join(seen).split(b"\n")[:-1] if b'"kind":"reload"' in line), None)

            self.signal(signal.SIGHUP)
            return json.loads(paths.wait_until(recorded, f"a reload record\n{self.stderr()}"))

    def stop(self, seconds=20):
        """SIGTERM: the proxy ends, cleanly, and so does all that it started."""
        if not self.process:
            return
        family = {**getattr(self, "family", {}), **processes.below(self.process.pid)}
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in [*family, self.process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"still there {seconds} s after SIGTERM\n{self.stderr()}") from None
        end = time.monotonic() + 2
        left = family
        while left and time.monotonic() < end:
            left = {pid: name for pid, name in family.items() if processes.is_alive(pid)}
            time.sleep(0.01 if left else 0)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process = None
        assert not left, f"left behind: {left}\n{self.stderr()}"
        if self.expected_exit is not None:
            assert code == self.expected_exit, f"exit status {code}\n{self.stderr()}"
        for sign in ("Sanitizer", "runtime error:", "ssertion"):
            assert sign not in self.stderr(), self.stderr()
        if self.check_chain and self.audit.exists():
            self.verify()

    def verify(self):
        done = self.cli("log", "--config", self.config, "--verify")
        assert done.returncode == 0, done.stdout + done.stderr

    # --- asking it ---

    def client(self, task="widgets", token=None):
        connector = self.namespace.connect if self.namespace else None
        return Client(self.port, self.token(task) if token is None else token, self.ca, connector=connector)

    def url(self, task="widgets"):
        return f"http://exeat:{self.token(task)}@127.0.0.1:{self.port}"

    def client_env(self, task="widgets"):
        """What a real client needs: the variables that `exeat env` prints, and nothing that the tests inherited."""
        done = self.cli("env", "--config", self.config, "--task", task)
        assert done.returncode == 0, done.stderr
        base = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "LANG": "C.UTF-8",
                "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
        out = subprocess.run(["/bin/sh", "-ec", done.stdout + "\nenv -0"], env=base, capture_output=True, text=True, check=True)
        return dict(line.split("=", 1) for line in out.stdout.split("\0") if line)

    # --- its records ---

    def records(self, kind=None):
        """The log, parsed; a line that is being written is left out."""
        if not self.audit.exists():
            return []
        lines = self.audit.read_bytes().split(b"\n")[:-1]
        records = [json.loads(line) for line in lines]
        return [r for r in records if kind is None or r["kind"] == kind]

    def mark(self):
        """The last seq: records after it belong to what comes now."""
        records = self.records()
        return records[-1]["seq"] if records else 0

    def since(self, mark, kinds=("request", "connect", "tunnel")):
        return [r for r in self.records() if r["seq"] > mark and r["kind"] in kinds]

    def one_record(self, mark=0, seconds=5, kinds=("request", "connect", "tunnel")):
        """Exactly one record since the mark, once there is one."""
        paths.wait_until(lambda: self.since(mark, kinds), "a record", seconds)
        time.sleep(0.02)  # a second one would follow at once
        found = self.since(mark, kinds)
        assert len(found) == 1, found
        return found[0]
