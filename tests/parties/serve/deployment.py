"""A whole deployment for tests of the gateway: `cachet up --serve`, or parties and gateway started one by one from what it leaves."""
import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time

from gateway import Gateway

CONTEXT, SLOTS = 256, 4


class Place:
    """`with Place(cachet, root) as place`: a numeric plan, and deployments in directories of their own."""

    def __init__(self, cachet, root):
        self.cachet, self.model, self.directory, self.parties = cachet, os.path.join(root, "models/keeper"), tempfile.TemporaryDirectory(), {}
        self.plan = os.path.join(self.directory.name, "plan.json")
        subprocess.run([cachet, "plan", "--model", self.model, "--context", str(CONTEXT), "--out", self.plan], check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in list(self.parties):
            self.stop_party(name)
        self.directory.cleanup()

    def path(self, *names):
        return os.path.join(self.directory.name, *names)

    def up(self, name, *flags):
        """`cachet up --serve` as it is typed; its config, keys, shares and logs in a directory of this name."""
        return Gateway(self.up_words(name), *flags)

    def up_words(self, name):
        return [self.cachet, "up", "--serve", "--model", self.model, "--plan", self.plan, "--context", str(CONTEXT), "--slots", str(SLOTS),
                "--keep", self.path(name), "--verbose"]

    def write_keys(self, key):
        path = self.path("keys")
        with open(path, "w", encoding="utf-8") as file:
            file.write(key + "\n")
        os.chmod(path, 0o600)
        return path

    def twin(self, prompt, tokens):
        """What the model says in the clear, with the same plan."""
        done = subprocess.run([self.cachet, "generate", "--backend", "clear", "--model", self.model, "--plan", self.plan, "--prompt", prompt,
                               "--max-tokens", str(tokens), "--json"], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)["text"]

    # One by one, from the directory that `up` has left.

    def start_party(self, kept, name, *flags):
        with open(self.path(kept, f"{name}.by-hand.log"), "a", encoding="utf-8") as log:
            self.parties[name] = subprocess.Popen([self.cachet, "party", "--config", self.path(kept, "config.yaml"), "--key", self.path(kept, f"{name}.key"),
                                                   "--shares", self.path(kept, "set", name), *flags], stdout=log, stderr=log)

    def stop_party(self, name, how=signal.SIGTERM):
        process = self.parties.pop(name)
        process.send_signal(how)
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None

    def gateway(self, kept, *flags, **more):
        return Gateway([self.cachet, "serve", "--config", self.path(kept, "config.yaml"), "--key", self.path(kept, "client.key"),
                        "--shares", self.path(kept, "set", "client")], *flags, **more)

    def logs(self, kept):
        """All that the parties have written: file name -> text."""
        found = {}
        for name in sorted(os.listdir(self.path(kept))):
            if name.endswith(".log"):
                with open(self.path(kept, name), encoding="utf-8", errors="replace") as log:
                    found[name] = log.read()
        return found


def children(pid):
    """Processes below one: their command lines by process id."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            if parent == pid:
                with open(f"/proc/{entry}/cmdline", encoding="utf-8", errors="replace") as line:
                    found[int(entry)] = line.read().replace("\0", " ")
    return found


def processes(g):
    """Gateway and parties below `cachet up --serve`: process ids by name."""
    named = {}
    for pid, line in children(g.process.pid).items():
        key = re.search(r"/(p[012])\.key", line)
        named[key.group(1) if key else "gateway"] = pid
    return named


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def state(g):
    return g.ask("GET", "/state").json()["requests"]


def until_idle(g, seconds=60):
    """Seconds until no request runs or waits; None: too many."""
    begun = time.time()
    while time.time() < begun + seconds:
        now = state(g)
        if now["running"] == 0 and now["waiting"] == 0:
            return time.time() - begun
        time.sleep(0.002)
    return None


def metric(g, name):
    """The value of one metric, its labels as they are written."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", g.ask("GET", "/metrics").body.decode(), re.MULTILINE)
    return float(found.group(1)) if found else None
