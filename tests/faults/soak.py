"""Mixed requests against three real parties with a fault every minute: every answer is the twin's or a named error, and memory stays flat.

usage: soak.py CACHET_FAILPOINTS SOURCE_ROOT [MINUTES]"""
import random
import re
import signal
import statistics
import sys
import time

from deployment import PARTIES, Deployment, failpoints
from faults import SCENARIOS
from judge import ACTIONS, NAMED_CODES, VOID, Case, Tally, allowed_seconds, census

SEED, MINUTES, FAULT_SECONDS = 11, 60, 60
# An order that has not fired in so many requests is of a passage that these requests have not: another one is given.
PATIENCE = 12
# What a party may grow by over its life: its allocator's slack, not its requests, of which there are several a second.
GROWTH_KB, WARM_REQUESTS = 8192, 20
PROMPTS = ("One day", "Once upon a time there was a big red ball", "Tom and his cat went to the sea. " * 6, "The end.")
FLAGS = ((), ("--inside",), ("--ignore-eos",))


class Soak:
    def __init__(self, d, chance):
        self.d, self.chance = d, chance
        self.requests = self.right = self.errors = self.wrong = self.spoilt = self.hangs = self.faults = self.late = self.dropped = 0
        self.memory = {}  # process id -> its kB after each request
        self.bad = []
        self.pending, self.waited = None, 0  # the fault that is due, and the requests that it has waited

    def complain(self, text):
        self.bad.append(text)
        print("not good:", text, file=sys.stderr, flush=True)

    def ask(self):
        case, killed = self.pending, self.pending is not None and (self.pending.who, self.pending.action) == ("alice", "kill")
        lie = case is not None and case.action == "flip"
        flags, prompt, tokens = self.chance.choice(FLAGS), self.chance.choice(PROMPTS), self.chance.choice((1, 4, 12, 30))
        answer = self.d.ask(*flags, prompt=prompt, tokens=tokens)
        self.requests += 1
        if answer is not None and case is not None and answer.after is not None and answer.code not in (0, -signal.SIGKILL) and answer.after > allowed_seconds(self.d, case):
            self.late += 1
            self.complain(f"{case}: the error comes {answer.after:.1f} s after the fault: {answer}")
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
        elif case is not None and (case.who, case.action) == ("alice", "term") and "asked to stop" in answer.error:
            self.errors += 1
        elif answer.code in NAMED_CODES and re.match(r"cachet generate: error \(\w+\): .*P[012].*\n$", answer.error):
            self.errors += 1
        else:
            self.complain(f"{flags} {prompt!r}: {answer}")

    def fault(self, reached, names):
        """At the next passage or a later one of a request; a client's orders wait for its process."""
        (point, who), places = self.chance.choice([item for item in sorted(reached.items()) if item[1][0][0].name == "request"])
        action, passage = self.chance.choice(ACTIONS[names[point]]), self.chance.randint(1, places[0][1])
        self.d.order(who, f"{point}:{passage}:{action}")
        self.pending, self.waited = Case("request", point, who, passage, action), 0

    def settle(self):
        """After a request: whether the order that was due has fired. One that has waited long enough is dropped."""
        if self.pending is None:
            return False
        self.waited += 1
        fired = self.d.due.fired()
        if fired or self.waited >= PATIENCE:
            self.d.withdraw()
            self.faults += fired
            self.dropped += not fired
            self.pending = None
        return fired

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
        reached = census(self.d, SCENARIOS, names)
        end = time.monotonic() + seconds
        due = time.monotonic() + FAULT_SECONDS / 2
        while time.monotonic() < end:
            if self.pending is None and time.monotonic() >= due:
                self.fault(reached, names)
            self.ask()
            if self.settle():  # one that has not fired is followed by another one at once
                due += FAULT_SECONDS
            self.d.start_missing()
            self.look_at_memory()
        if self.pending is not None:
            self.d.withdraw()
            self.pending = None
        self.ask()


def main():
    program, root = sys.argv[1:3]
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else MINUTES
    with Deployment(program, root) as d:
        d.first_meeting()
        soak = Soak(d, random.Random(SEED))
        soak.run(60 * minutes, failpoints(program))
        d.stop()
        for text in d.unclean:
            soak.complain(text)
        for name, code in d.exits:  # killed, told to stop, or ended for another one that was
            if code not in (0, -signal.SIGKILL, *NAMED_CODES):
                soak.complain(f"{name} has ended with {code}")
    if soak.faults < minutes - 1 or soak.requests == 0:
        soak.complain(f"{soak.faults} faults and {soak.requests} requests in {minutes:g} minutes; {soak.dropped} orders have not fired")
    grown = soak.growth()
    if grown > GROWTH_KB:
        soak.complain(f"a party has grown by {grown} kB")
    row = (f"{minutes:g}", soak.requests, soak.right, soak.errors, soak.wrong, soak.spoilt, soak.hangs, soak.faults, soak.late, f"{grown / 1024:.1f} MiB")
    print("| minutes | requests | the twin's answer | named errors | wrong answers | spoilt by a lie | hangs | faults | too late | growth of a party |")
    print("|---" * len(row) + "|", "| " + " | ".join(map(str, row)) + " |", sep="\n")
    return 1 if soak.bad else 0


if __name__ == "__main__":
    sys.exit(main())
