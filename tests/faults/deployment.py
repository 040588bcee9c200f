"""A deployment of three parties whose processes can be told to fail: keys, plan, shares and config in a directory of its own, parties over
loopback sockets, and for each process a mapped file that carries its orders (base/failpoint.h)."""
import mmap
import os
import random
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time

PARTIES = ("p0", "p1", "p2")
PROMPT, TOKENS = "One day", 6
ORDERS_HEAD, TEXT_BYTES, POINTS, FINGERPRINT_BYTES, FINGERPRINTS = 16, 112, 128, 16, 2024
ORDERS_BYTES = ORDERS_HEAD + TEXT_BYTES + 4 * POINTS + FINGERPRINT_BYTES * FINGERPRINTS


class Orders:
    """struct base_failpoint_orders, from the driver's side."""

    def __init__(self, path):
        self.path, self.generation = path, 0
        with open(path, "wb") as file:
            file.truncate(ORDERS_BYTES)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), ORDERS_BYTES)

    def give(self, text):
        self.generation += 1
        self.map[ORDERS_HEAD:ORDERS_HEAD + TEXT_BYTES] = text.encode().ljust(TEXT_BYTES, b"\0")
        self.map[0:4] = struct.pack("<I", self.generation)

    def withdraw(self):
        """No fault is due any more, also for a process that starts later."""
        self.give("")
        self.map[4:8] = struct.pack("<I", self.generation)

    def fired(self):
        return struct.unpack("<I", self.map[4:8])[0] == self.generation

    def passed(self):
        """Passages of each failpoint, in the order of the list."""
        return struct.unpack(f"<{POINTS}I", self.map[ORDERS_HEAD + TEXT_BYTES:ORDERS_HEAD + TEXT_BYTES + 4 * POINTS])

    def fingerprints(self):
        """Of session ids, session keys and stream keys, in the order in which the process made them (the latest that fit)."""
        count = min(struct.unpack("<I", self.map[8:12])[0], FINGERPRINTS)
        at = ORDERS_HEAD + TEXT_BYTES + 4 * POINTS
        return [bytes(self.map[at + i * FINGERPRINT_BYTES:at + (i + 1) * FINGERPRINT_BYTES]) for i in range(count)]


class Answer:
    def __init__(self, code, text, error, seconds):
        self.code, self.text, self.error, self.seconds = code, text, error, seconds

    def __repr__(self):
        return f"exit code {self.code} after {self.seconds:.1f} s: {self.error.strip()[-400:] or self.text!r}"


def free_ports(count):
    """The first of so many free ports in a row."""
    for _ in range(200):
        first = random.randrange(21000, 30000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise RuntimeError(f"no {count} free ports in a row")


class Deployment:
    """`with Deployment(program, root) as d`: program is cachet or, for orders, cachet-failpoints."""

    def __init__(self, program, root, step_seconds=2, connect_seconds=4):
        self.program, self.model = program, os.path.join(root, "models/keeper")
        self.limits = f"{{context: 128, connect_seconds: {connect_seconds}, step_seconds: {step_seconds}}}"
        self.step_seconds, self.connect_seconds = step_seconds, connect_seconds
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CACHET_")}
        self.directory = tempfile.TemporaryDirectory(prefix="cachet-faults.")
        self.process, self.orders, self.expected = {}, {}, {}
        self.exits = []  # (party, exit code) of those that had to be started again
        # What answers on a busy machine before this is no hang.
        self.limit_seconds = 4 * (step_seconds + connect_seconds) + 10

    def __enter__(self):
        keys = {name: self.run("keygen", "--out", self.path(f"{name}.key")).split("key: ")[1].split()[0] for name in (*PARTIES, "alice", "bob")}
        self.run("plan", "--model", self.model, "--context", "128", "--out", self.path("plan.json"))
        line = next(line for line in self.run("share", "--model", self.model, "--plan", self.path("plan.json"), "--out", self.path("set")).splitlines()
                    if line.startswith("model:"))
        self.port = free_ports(9)
        with open(self.path("config.yaml"), "w", encoding="utf-8") as file:
            print("version: 1\nmode: three-party\nparties:", file=file)
            for i, name in enumerate(PARTIES):
                print(f'  {name}: {{address: "127.0.0.1:{self.port + 3 * i}", key: {keys[name]}}}', file=file)
            print("clients:", *(f"  - {{name: {name}, key: {keys[name]}}}" for name in ("alice", "bob")), line, f"limits: {self.limits}", sep="\n", file=file)
        for name in (*PARTIES, "alice"):
            self.orders[name] = Orders(self.path(f"{name}.orders"))
        return self

    def __exit__(self, *_):
        self.stop()
        self.directory.cleanup()

    def path(self, *names):
        return os.path.join(self.directory.name, *names)

    def run(self, *words):
        return subprocess.run([self.program, *words], check=True, capture_output=True, text=True, env=self.environment).stdout

    def with_orders(self, name):
        return dict(self.environment, CACHET_FAILPOINT="@" + self.orders[name].path)

    # --- parties ---

    def start(self, *names):
        for name in names:
            log = open(self.path(f"{name}.log"), "a", encoding="utf-8")
            self.process[name] = subprocess.Popen(
                [self.program, "party", "--config", self.path("config.yaml"), "--key", self.path(f"{name}.key"), "--shares", self.path("set", name), "--threads", "1"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.with_orders(name))
            log.close()

    def alive(self, name):
        return name in self.process and self.process[name].poll() is None

    def kill(self, name):
        self.process[name].send_signal(signal.SIGKILL)
        self.process[name].wait()

    def start_missing(self):
        """What a service manager does."""
        for name in PARTIES:
            if not self.alive(name):
                self.exits.append((name, self.process[name].returncode))
                self.start(name)

    def stop(self):
        for process in self.process.values():
            if process.poll() is None:
                process.terminate()
        for process in self.process.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def size(self, name):
        """Of a log: what comes behind it is news."""
        path = self.path(f"{name}.log")
        return os.path.getsize(path) if os.path.exists(path) else 0

    def news(self, name, mark):
        with open(self.path(f"{name}.log"), encoding="utf-8", errors="replace") as file:
            file.seek(mark)
            return file.read()

    def wait_ready(self, marks, seconds):
        """Until every party has said after its mark that it is connected."""
        return until(seconds, lambda: all("ready: connected" in self.news(name, marks[name]) for name in PARTIES))

    def marks(self):
        return {name: self.size(name) for name in PARTIES}

    def first_meeting(self):
        marks = self.marks()
        self.start(*PARTIES)
        if not self.wait_ready(marks, 20):
            raise RuntimeError("three good parties do not meet: " + " | ".join(self.news(name, marks[name])[-300:] for name in PARTIES))

    # --- clients ---

    def client_words(self, *flags, tokens=TOKENS, prompt=PROMPT):
        return [self.program, "generate", "--config", self.path("config.yaml"), "--key", self.path("alice.key"), "--shares", self.path("set", "client"),
                "--prompt", prompt, "--max-tokens", str(tokens), *flags]

    def begin(self, *flags, **more):
        return self.begin_words(self.client_words(*flags, **more))

    def begin_words(self, words):
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                env=self.with_orders("alice"))

    def end(self, process, started, seconds=None):
        """None when it hangs; it is killed then. Parties that end meanwhile are started again."""
        deadline = started + (seconds or self.limit_seconds)
        while True:
            try:
                out, error = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                self.start_missing()
                if time.monotonic() > deadline:
                    process.kill()
                    process.communicate()
                    return None
        return Answer(process.returncode, first_line(out), error.decode(errors="replace"), time.monotonic() - started)

    def ask(self, *flags, **more):
        started = time.monotonic()
        return self.end(self.begin(*flags, **more), started)

    def twin(self, *flags, tokens=TOKENS, prompt=PROMPT):
        """What the model says in the clear, with the same plan."""
        key = (flags, tokens, prompt)
        if key not in self.expected:
            done = subprocess.run([self.program, "generate", "--backend", "clear", "--model", self.model, "--plan", self.path("plan.json"), "--prompt", prompt,
                                   "--max-tokens", str(tokens), *flags], check=True, capture_output=True, env=self.environment)
            self.expected[key] = first_line(done.stdout)
        return self.expected[key]


def first_line(out):
    return out.decode(errors="replace").split("\n", 1)[0]


def until(seconds, condition):
    """A busy machine gets its time: what never comes is found all the same."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def failpoints(program):
    """Name -> kind, in the order of the list."""
    environment = dict(os.environ, CACHET_FAILPOINT="list")
    done = subprocess.run([program], check=True, capture_output=True, text=True, env=environment)
    return dict(re.findall(r"^(\S+) (\S+)$", done.stdout, re.M))
