"""Mixed requests against three real parties with a fault every minute: every answer is the twin's or a named error, and memory stays flat.

usage: soak.py CACHET_FAILPOINTS SOURCE_ROOT [MINUTES]"""
import random
import re
import signal
import statistics
import sys
import time

from deployment import PARTIES, Deployment, failpoints
from faults import ACTIONS, ENDS, NAMED_CODES, VOID, census

SEED, MINUTES, FAULT_SECONDS = 11, 60, 60
# What a party may grow by over its life: its allocator's slack, not its requests, of which there are several a second.
GROWTH_KB, WARM_REQUESTS = 8192, 20
PROMPTS = ("One day", "Once upon a time there was a big red ball", "Tom and his cat went to the sea. " * 6, "The end.")
FLAGS = ((), ("--inside",), ("--ignore-eos",))


class Soak:
    def __init__(self, d, chance):
        self.d, self.chance = d, chance
        self.requests = self.right = self.errors = self.wrong = self.spoilt = self.hangs = self.faults = 0
        self.memory = {}  # process id -> its kB after each request
        self.bad = []

    def complain(self, text):
        self.bad.append(text)
        print("not good:", text, file=sys.stderr, flush=True)

    def ask(self, lie, killed=False):
        flags, prompt, tokens = self.chance.choice(FLAGS), self.chance.choice(PROMPTS), self.chance.choice((1, 4, 12, 30))
        answer = self.d.ask(*flags, prompt=prompt, tokens=tokens)
        self.requests += 1
        if answer is not None and answer.code == -signal.SIGKILL and killed:
            self.errors += 1
        elif answer is None:
            self.hangs += 1
            self.complain(f"{flags} {prompt!r}: hangs")
        elif answer.code == 0 and answer.text == self.d.twin(*(flag for flag in flags if flag != "--inside"), prompt=prompt, tokens=tokens):
            self.right += 1
        elif lie and answer.code in (0, VOID):
            self.spoilt += 1
        elif answer.code == 0:
            self.wrong += 1
            self.complain(f"{flags} {prompt!r}: {answer.text!r}")
        elif answer.code in NAMED_CODES and re.match(r"cachet generate: error \(\w+\): .*P[012].*\n$", answer.error):
            self.errors += 1
        else:
            self.complain(f"{flags} {prompt!r}: {answer}")

    def fault(self, reached, names):
        """At the next passage or a later one of a request; a client's orders wait for its process."""
        (point, who), places = self.chance.choice([item for item in sorted(reached.items()) if item[1][0][0].name == "request"])
        action = self.chance.choice(ACTIONS[names[point]])
        self.d.orders[who].give(f"{point}:{self.chance.randint(1, places[0][1])}:{action}")
        return who, action

    def look_at_memory(self):
        for name in PARTIES:
            if not self.d.alive(name):
                continue
            process = self.d.process[name]
            with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                size = re.search(r"VmRSS:\s+(\d+)", file.read())
            if size is not None:  # it may have died a moment ago
                self.memory.setdefault(process.pid, []).append(int(size.group(1)))

    def growth(self):
        """Between the first quarter of a party's life and its last: medians, as what waits in queues comes and goes."""
        grown = [0]
        for sizes in self.memory.values():
            warm = sizes[WARM_REQUESTS:]
            quarter = len(warm) // 4
            if quarter >= WARM_REQUESTS:
                grown.append(statistics.median(warm[-quarter:]) - statistics.median(warm[:quarter]))
        return max(grown)

    def run(self, seconds, names):
        reached = census(self.d, names)
        end = time.monotonic() + seconds
        due, pending = time.monotonic() + FAULT_SECONDS / 2, None
        while time.monotonic() < end:
            if pending is None and time.monotonic() >= due:
                pending = self.fault(reached, names)
                due += FAULT_SECONDS
            self.ask(pending is not None and pending[1] == "flip", pending == ("alice", "kill"))
            if pending is not None and self.d.orders[pending[0]].fired():
                self.faults += 1
                self.d.orders[pending[0]].withdraw()
                pending = None
            self.d.start_missing()
            self.look_at_memory()
        for who in ENDS:
            self.d.orders[who].withdraw()
        self.ask(False)


def main():
    program, root = sys.argv[1:3]
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else MINUTES
    with Deployment(program, root) as d:
        d.first_meeting()
        soak = Soak(d, random.Random(SEED))
        soak.run(60 * minutes, failpoints(program))
    grown = soak.growth()
    if grown > GROWTH_KB:
        soak.complain(f"a party has grown by {grown} kB")
    row = (f"{minutes:g}", soak.requests, soak.right, soak.errors, soak.wrong, soak.spoilt, soak.hangs, soak.faults, f"{grown / 1024:.1f} MiB")
    print("| minutes | requests | the twin's answer | named errors | wrong answers | spoilt by a lie | hangs | faults | growth of a party |")
    print("|---" * len(row) + "|", "| " + " | ".join(map(str, row)) + " |", sep="\n")
    return 1 if soak.bad else 0


if __name__ == "__main__":
    sys.exit(main())
