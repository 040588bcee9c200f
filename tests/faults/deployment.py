"""A deployment of three or two parties whose processes can be told to fail: keys, plan, shares and config in a directory of its own, parties over
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
ORDERS_HEAD, TEXT_BYTES, POINTS, FINGERPRINT_BYTES, FINGERPRINTS = 16, 112, 128, 16, 1 << 16
ORDERS_BYTES = ORDERS_HEAD + TEXT_BYTES + 4 * POINTS + FINGERPRINT_BYTES * FINGERPRINTS
STOP_SECONDS = 10
# How much longer everything takes than in a release: of a build with sanitizers, some 4. Nothing else makes deadlines longer.
SLOW = float(os.environ.get("CACHET_TEST_SLOW", "1"))


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
        """Of session ids, session keys and stream keys, in the order in which the process made them."""
        count = struct.unpack("<I", self.map[8:12])[0]
        if count > FINGERPRINTS:
            raise RuntimeError(f"{self.path}: {count} keys were made, and {FINGERPRINTS} fit (BASE_FINGERPRINTS): a repeat would not be seen")
        at = ORDERS_HEAD + TEXT_BYTES + 4 * POINTS
        return [bytes(self.map[at + i * FINGERPRINT_BYTES:at + (i + 1) * FINGERPRINT_BYTES]) for i in range(count)]


class Answer:
    """`after`: seconds from the fault that was due to the end, or None: it has not happened."""

    def __init__(self, code, text, error, seconds, after=None, out=""):
        self.code, self.text, self.error, self.seconds, self.after, self.out = code, text, error, seconds, after, out

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
    """`with Deployment(program, root) as d`: program is cachet or, for orders, cachet-failpoints. What is special to a mode stands in class members."""

    parties, clients, mode = PARTIES, ("alice", "bob"), "three-party"
    model_folder, context, more_of_plan, more_of_config = "models/keeper", 128, (), ()
    notice = None  # what a client may say beside an error
    hosts = {}     # addresses of parties in the config that are not 127.0.0.1

    def __init__(self, program, root, step_seconds=2, connect_seconds=4):
        self.program, self.model = program, os.path.join(root, self.model_folder)
        self.step_seconds, self.connect_seconds = step_seconds, connect_seconds
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CACHET_")}
        self.directory = tempfile.TemporaryDirectory(prefix="cachet-faults.")
        self.process, self.orders, self.expected = {}, {}, {}
        self.exits = []    # (party, exit code) of those that had to be started again
        self.unclean = []  # what was wrong with how processes ended
        self.due = self.fired_at = None  # the orders whose fault is watched for, and when it was seen to have happened
        self.killed = set()  # parties that the driver has killed, or told to die, since they were started
        # What answers on a busy machine before this is no hang.
        self.limit_seconds = (4 * (step_seconds + connect_seconds) + 10) * SLOW

    def __enter__(self):
        self.set_up()
        return self

    def __exit__(self, *_):
        self.stop()
        self.directory.cleanup()

    def set_up(self):
        keys = {name: self.run("keygen", "--out", self.path(f"{name}.key")).split("key: ")[1].split()[0] for name in (*self.parties, *self.clients)}
        self.run("plan", "--model", self.model, *self.more_of_plan, "--context", str(self.context), "--out", self.path("plan.json"))
        line = next(line for line in self.run("share", "--model", self.model, "--plan", self.path("plan.json"), "--out", self.path("set")).splitlines()
                    if line.startswith("model:"))
        self.port = free_ports(3 * len(self.parties))
        slots = ", slots: 1" if self.mode == "two-party" else ""
        with open(self.path("config.yaml"), "w", encoding="utf-8") as file:
            print(f"version: 1\nmode: {self.mode}\nparties:", file=file)
            for i, name in enumerate(self.parties):
                print(f'  {name}: {{address: "{self.hosts.get(name, "127.0.0.1")}:{self.port + 3 * i}", key: {keys[name]}}}', file=file)
            print("clients:", *(f"  - {{name: {name}, key: {keys[name]}}}" for name in self.clients), line,
                  f"limits: {{context: {self.context}, connect_seconds: {self.connect_seconds}, step_seconds: {self.step_seconds}{slots}}}", *self.more_of_config,
                  sep="\n", file=file)
        for name in (*self.parties, "alice"):
            self.orders[name] = Orders(self.path(f"{name}.orders"))

    def path(self, *names):
        return os.path.join(self.directory.name, *names)

    def run(self, *words):
        return subprocess.run([self.program, *words], check=True, capture_output=True, text=True, env=self.environment).stdout

    def with_orders(self, name):
        return dict(self.environment, CACHET_FAILPOINT="@" + self.orders[name].path)

    # --- parties ---

    def party_words(self, name):
        return ["party", "--config", self.path("config.yaml"), "--key", self.path(f"{name}.key"), "--shares", self.path("set", name), "--threads", "1"]

    def start(self, *names):
        for name in names:
            self.killed.discard(name)
            log = open(self.path(f"{name}.log"), "a", encoding="utf-8")
            self.process[name] = subprocess.Popen([self.program, *self.party_words(name)], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.with_orders(name))
            log.close()

    def alive(self, name):
        return name in self.process and self.process[name].poll() is None

    def kill(self, name):
        self.killed.add(name)
        self.process[name].send_signal(signal.SIGKILL)
        self.process[name].wait()

    def order(self, who, text):
        """A fault that is due at a process; clients that run now are watched for it."""
        if text.endswith((":kill", ":term")):
            self.killed.add(who)
        self.due, self.fired_at = self.orders[who], None
        self.due.give(text)

    def look(self):
        if self.due is not None and self.fired_at is None and self.due.fired():
            self.fired_at = time.monotonic()

    def until(self, seconds, condition):
        return until(seconds, lambda: self.look() or condition())

    def withdraw(self):
        """Whether it has happened. None is due any more."""
        fired = self.due.fired()
        self.due.withdraw()
        self.due = None
        return fired

    def start_missing(self):
        """What a service manager does."""
        for name in self.parties:
            if not self.alive(name):
                if name in self.process:
                    self.exits.append((name, self.process[name].returncode))
                self.start(name)

    def stop(self):
        """Whoever does not end in order is in `unclean`: a leak shows as an exit code, or as a report in the log."""
        for process in self.process.values():
            if process.poll() is None:
                process.terminate()
        for name, process in self.process.items():
            try:
                code = process.wait(STOP_SECONDS * SLOW)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = f"nothing within {STOP_SECONDS * SLOW:g} s"
            if code != 0 and not (code in (-signal.SIGKILL, -signal.SIGTERM) and name in self.killed):
                self.unclean.append(f"{name}, asked to stop, ends with {code}: {self.news(name, 0)[-400:]}")
            report = re.search(r"^.*(?:Sanitizer|runtime error:).*$", self.news(name, 0), re.M)
            if report:
                self.unclean.append(f"{name}: {report[0]}")
        self.process.clear()

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
        return until(seconds, lambda: all("ready: connected" in self.news(name, marks[name]) for name in self.parties))

    def marks(self):
        return {name: self.size(name) for name in self.parties}

    def first_meeting(self):
        marks = self.marks()
        self.start(*self.parties)
        if not self.wait_ready(marks, 20 * SLOW):
            raise RuntimeError("good parties do not meet: " + " | ".join(self.news(name, marks[name])[-300:] for name in self.parties))

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
                out, error = process.communicate(timeout=0.05)
                break
            except subprocess.TimeoutExpired:
                self.start_missing()
                self.look()
                if time.monotonic() > deadline:
                    process.kill()
                    process.communicate()
                    return None
        now = time.monotonic()
        self.look()
        after = now - self.fired_at if self.due is not None and self.fired_at is not None else None
        return Answer(process.returncode, self.answer_of(out), error.decode(errors="replace"), now - started, after, out.decode(errors="replace"))

    def answer_of(self, out):
        return first_line(out)

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
