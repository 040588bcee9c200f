"""Material made ahead of use (mode two-party) while a party dies, or a frame is lost, at each failpoint of it: nothing hangs, the right error is named,
the next answer is the clear's, and no text is used twice: no key of masks ever comes back.

usage: spool.py CACHET_FAILPOINTS SOURCE_ROOT [--all]

Without --all each failpoint fails once by `kill` at one of the two, and those of frames by another action at the other one."""
import collections
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from deployment import Orders, failpoints, free_ports

PARTIES = ("p1", "p2")
FRAME_ACTIONS = ("cut", "drop", "double", "swap", "truncate", "extend", "flip", "header")
SCOPE = ("pair.", "engine.text.")  # what three parties never pass
STEP_SECONDS, CONNECT_SECONDS, LIMIT_SECONDS = 8, 8, 90
VOID = 7
SEED = 20240612


class Pair:
    """Two parties with folders; each process has orders of its own."""

    def __init__(self, program, root):
        self.program, self.model = program, os.path.join(root, "tests/support/transformers/qwen2")
        self.directory = tempfile.TemporaryDirectory(prefix="cachet-spool.")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CACHET_")}
        self.orders = {name: Orders(self.path(f"{name}.orders")) for name in (*PARTIES, "alice")}
        self.process = {}

    def path(self, *names):
        return os.path.join(self.directory.name, *names)

    def run(self, *words, who=None):
        """Exit code (None: it hangs), what it printed, and what it complained of."""
        environment = self.environment if who is None else dict(self.environment, CACHET_FAILPOINT="@" + self.orders[who].path)
        try:
            done = subprocess.run([self.program, *words], capture_output=True, text=True, timeout=LIMIT_SECONDS, env=environment)
        except subprocess.TimeoutExpired:
            return None, "", "hangs"
        return done.returncode, done.stdout, done.stderr

    def must(self, *words):
        code, out, error = self.run(*words)
        if code != 0:
            raise RuntimeError(f"{words}: {code}: {error}")
        return out

    def set_up(self):
        keys = {name: self.must("keygen", "--out", self.path(f"{name}.key")).split("key: ")[1].split()[0] for name in (*PARTIES, "alice")}
        self.must("plan", "--model", self.model, "--general", "--context", "8", "--out", self.path("plan.json"))
        line = next(line for line in self.must("share", "--model", self.model, "--plan", self.path("plan.json"), "--out", self.path("set")).splitlines()
                    if line.startswith("model:"))
        port = free_ports(6)
        with open(self.path("config.yaml"), "w", encoding="utf-8") as file:
            print("version: 1\nmode: two-party\nparties:", file=file)
            for i, name in enumerate(PARTIES):
                print(f'  {name}: {{address: "127.0.0.1:{port + 3 * i}", key: {keys[name]}}}', file=file)
            print(f"clients:\n  - {{name: alice, key: {keys['alice']}}}", line,
                  f"limits: {{context: 8, connect_seconds: {CONNECT_SECONDS}, step_seconds: {STEP_SECONDS}, slots: 1}}", "spool: {most: 8, dry: make}", sep="\n", file=file)

    def start(self, name):
        with open(self.path(f"{name}.log"), "a", encoding="utf-8") as log:
            self.process[name] = subprocess.Popen(
                [self.program, "party", "--config", self.path("config.yaml"), "--key", self.path(f"{name}.key"), "--shares", self.path("set", name), "--spool",
                 self.path(f"spool-{name}"), "--threads", "1"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=dict(self.environment, CACHET_FAILPOINT="@" + self.orders[name].path))

    def start_missing(self):
        for name in PARTIES:
            if name not in self.process or self.process[name].poll() is not None:
                self.start(name)

    def stop(self):
        for process in self.process.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def client(self, command, *words):
        return self.run(command, "--config", self.path("config.yaml"), "--key", self.path("alice.key"), "--shares", self.path("set", "client"), *words, who="alice")

    def prepare(self, texts=1):
        return self.client("prepare", "--prompt-tokens", "1", "--tokens", "2", "--texts", str(texts))

    def generate(self):
        return self.client("generate", "--prompt", "a", "--max-tokens", "2", "--ignore-eos", "--json")

    def files(self, name):
        folder = self.path(f"spool-{name}")
        return set(os.listdir(folder)) if os.path.isdir(folder) else set()

    def waiting(self):
        return {name for name in self.files("p1") & self.files("p2") if name.endswith(".text")}


def tokens(text):
    return re.sub(r"\s", "", text.split('"text"')[0])


class Driver:
    def __init__(self, pair, wanted):
        self.pair, self.wanted, self.complaints, self.driven, self.unreached = pair, wanted, [], 0, 0

    def complain(self, case, text):
        self.complaints.append((case, text))
        print("# ", *case, text, file=sys.stderr)

    def settle(self, case):
        """Parties that died are started, and the next answer is right."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            self.pair.start_missing()
            code, out, error = self.pair.generate()
            if code == 0:
                break
            if code is None or time.monotonic() > deadline:
                self.complain(case, f"no answer afterwards: {code}: {error}")
                return
        if tokens(out) != self.wanted:
            self.complain(case, f"the next answer is {out}")
        left = [name for who in PARTIES for name in self.pair.files(who) if not name.endswith(".text")]
        if left:
            self.complain(case, f"left in a folder: {left}")

    def drive(self, point, who, action, act):
        case = (point, who, action)
        if not self.pair.waiting():
            code, _, error = self.pair.prepare(2)
            if code != 0:
                self.complain(case, f"nothing can be made: {code}: {error}")
        orders = self.pair.orders[who]
        orders.give(f"{point}:1:{action}")
        code, out, error = act()
        fired = orders.fired()
        orders.withdraw()
        self.driven += fired
        self.unreached += not fired
        if code is None:
            self.complain(case, "hangs")
        elif code == 0 and out.startswith("{") and tokens(out) != self.wanted:
            self.complain(case, f"the answer is {out}")
        elif code not in (0, 8, 9, 10, 11, -signal.SIGKILL) and (code, action) != (VOID, "flip"):  # one of the key of masks: the answer is void
            self.complain(case, f"ends with {code}: {error}")
        elif code not in (0, -signal.SIGKILL) and len([line for line in error.splitlines() if "error (" in line]) != 1:
            self.complain(case, f"not one error: {error}")
        self.settle(case)
        return fired


def meet(pair):
    """P1 dies while it is idle and comes again."""
    pair.process["p1"].kill()
    pair.process["p1"].wait()
    pair.start("p1")
    return pair.generate()


def judge_keys(pair, driver):
    """A key of masks that comes back would be a text that was used twice."""
    for who in PARTIES:
        own = pair.orders[who].fingerprints()
        for twice in [key for key, count in collections.Counter(own).items() if count > 1]:
            driver.complain(("keys", who, ""), f"key {twice.hex()} came back")
        if len(own) < 20:
            driver.complain(("keys", who, ""), f"only {len(own)} were seen")


def main():
    program, root = sys.argv[1:3]
    everything = "--all" in sys.argv[3:]
    chance = random.Random(SEED)
    names = {name: kind for name, kind in failpoints(program).items() if name.startswith(SCOPE)}
    pair = Pair(program, root)
    try:
        pair.set_up()
        wanted = tokens(pair.must("generate", "--backend", "clear", "--model", pair.model, "--plan", pair.path("plan.json"), "--prompt", "a", "--max-tokens", "2",
                                  "--ignore-eos", "--json"))
        pair.start_missing()
        driver = Driver(pair, wanted)
        driver.settle(("first", "", ""))
        acts = {"generate": pair.generate, "prepare": pair.prepare, "meet": lambda: meet(pair)}
        reached = {}
        pair.prepare(3)
        for label, act in acts.items():
            before = {who: orders.passed() for who, orders in pair.orders.items()}
            act()
            for who, orders in pair.orders.items():
                for i, (point, passed) in enumerate(zip(failpoints(program), orders.passed())):
                    if point in names and passed > before[who][i]:
                        reached.setdefault((point, who), label)
        for point in set(names) - {point for point, _ in reached}:
            driver.complain(("census", point, ""), "no scenario passes it")
        for number, ((point, who), label) in enumerate(sorted(reached.items())):
            actions = ("kill", *FRAME_ACTIONS) if names[point] == "send" else ("kill", "cut") if names[point] == "receive" else ("kill",)
            if not everything and len(actions) > 1:
                actions = (actions[0] if number % 2 == 0 else chance.choice(actions[1:]),)
            for action in actions:
                if not driver.drive(point, who, action, acts[label]):
                    driver.complain((point, who, action), "was not reached")
        judge_keys(pair, driver)
        pair.stop()
        print(f"{driver.driven} faults at {len(reached)} places of {len(names)} failpoints, {driver.unreached} not reached, {len(driver.complaints)} complaints")
        return 1 if driver.complaints else 0
    finally:
        pair.stop()
        pair.directory.cleanup()


if __name__ == "__main__":
    sys.exit(main())
