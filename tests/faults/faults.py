"""Every failpoint x every end x every action that applies, over three real parties and a client: nothing hangs, the right error is named on
each side, the others live, and the next answer is the twin's.

usage: faults.py CACHET CACHET_FAILPOINTS SOURCE_ROOT [--all]

Without --all a spread of fixed seed that drives every failpoint, every action and every end. Prints a table; the exit code says whether all
of it held."""
import argparse
import collections
import os
import random
import re
import signal
import sys
import time

import file_faults
from deployment import PARTIES, Deployment, failpoints, until

FRAME_ACTIONS = ("cut", "drop", "double", "swap", "truncate", "extend", "flip", "header")
ACTIONS = {"send": ("kill", "stop", *FRAME_ACTIONS), "receive": ("kill", "stop", "cut"), "write": ("kill", "stop")}
ENDS = (*PARTIES, "alice")
# What a client may end with when another end is at fault: peer, mismatch, timeout, closed.
NAMED_CODES = (8, 9, 10, 11)
VOID = 7
# After these a party waits in vain, and those who wait for it may see it fall silent before they learn for whom.
SILENT = ("stop", "drop", "swap")
RECOVERY_SECONDS = 30
TRIES = 3
LONG, LONG_PROMPT = 110, "One day a little girl named Lily went to the park with her mom and her dog. " * 4
SEED = 20240611
OF_TWO = ("pair.", "engine.text.")  # what two parties alone pass: spool.py drives it

Case = collections.namedtuple("Case", "scenario point who passage action")


def shown(name):
    """How an end is called in errors."""
    return name.upper() if name in PARTIES else name


class Scenario:
    """One way to use the deployment while a fault is due. `act` returns the client's answer: None when it hung, False when it does not matter."""

    def __init__(self, name, act, answers, flags=(), victim=None):
        self.name, self.act, self.answers, self.flags, self.victim = name, act, answers, flags, victim


def ask(d, scenario):
    return d.ask(*scenario.flags)


def interrupt(d, _):
    """A client that is told to stop after its first words."""
    started = time.monotonic()
    process = d.begin("--ignore-eos", tokens=LONG)
    if wait_for_words(process, d):
        process.send_signal(signal.SIGINT)
    return d.end(process, started)


def lose(d, scenario):
    """A party dies in the middle of an answer."""
    started = time.monotonic()
    process = d.begin("--ignore-eos", tokens=LONG)
    wait_for_words(process, d)
    d.kill(scenario.victim)
    return d.end(process, started)


def lose_unattended(d, scenario):
    """The same while the client stands still, so that the others wait for its orders."""
    started = time.monotonic()
    process = d.begin("--ignore-eos", tokens=LONG)
    if wait_for_words(process, d):
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        d.kill(scenario.victim)
        time.sleep(0.3)
        process.send_signal(signal.SIGCONT)
    return d.end(process, started)


def lose_in_prompt(d, scenario):
    """A party dies while a long prompt is read and much is dealt."""
    started = time.monotonic()
    marks = d.marks()
    process = d.begin(prompt=LONG_PROMPT)
    until(d.limit_seconds, lambda: "begins:" in d.news(scenario.victim, marks[scenario.victim]) or process.poll() is not None)
    time.sleep(0.1)
    d.kill(scenario.victim)
    return d.end(process, started)


def meet(d, scenario):
    """A party that was idle dies and comes again: the others meet it."""
    marks = d.marks()
    d.kill(scenario.victim)
    d.start(scenario.victim)
    until(d.connect_seconds + 4, lambda: d.wait_ready(marks, 0) or any(not d.alive(name) for name in PARTIES))
    return False


def check_clocks(d, _):
    started = time.monotonic()
    process = d.begin_words([d.program, "check", "--config", d.path("config.yaml"), "--key", d.path("alice.key"), "--shares", d.path("set", "client")])
    d.end(process, started)
    return False


def wait_for_words(process, d):
    """Until the answer's first byte is there, or the process has ended."""
    os.set_blocking(process.stdout.fileno(), False)
    found = []

    def heard():
        try:
            piece = process.stdout.read1(1)
        except BlockingIOError:
            piece = None
        if piece:
            found.append(piece)
        return bool(piece) or process.poll() is not None
    heard_in_time = until(d.limit_seconds, heard)
    os.set_blocking(process.stdout.fileno(), True)
    return heard_in_time and bool(found) and process.poll() is None


SCENARIOS = [Scenario("request", ask, True), Scenario("inside", ask, True, ("--inside",)), Scenario("interrupt", interrupt, False),
             *(Scenario(f"lose {name}", lose, False, victim=name) for name in PARTIES),
             *(Scenario(f"lose {name} unattended", lose_unattended, False, victim=name) for name in PARTIES),
             *(Scenario(f"lose {name} in the prompt", lose_in_prompt, False, victim=name) for name in PARTIES),
             *(Scenario(f"meet {name}", meet, False, victim=name) for name in PARTIES), Scenario("check", check_clocks, False)]


class Tally:
    def __init__(self):
        self.driven = self.survived = self.hangs = self.wrong = self.spoilt = self.unreached = 0
        self.complaints, self.fired = [], set()  # (point, who, action) of faults that happened

    def complain(self, case, text):
        self.complaints.append(f"{' '.join(map(str, case))}: {text}")
        print("not good:", self.complaints[-1], file=sys.stderr, flush=True)

    def row(self, name):
        return f"| {name} | {self.driven} | {self.survived} | {self.hangs} | {self.wrong} | {self.spoilt} |"


HEAD = "| faults | driven | survived | hangs | wrong answers | spoilt by a lie |\n|---|---|---|---|---|---|"


# --- one fault ---

def errors_in(text):
    return [line for line in re.findall(r"^\S+ (?:error|warning) (P[012] .*)$", text, re.M) if "connecting again" not in line]


def judge_answer(d, case, scenario, answer, tally):
    """What the client got while the fault happened. Returns whether it failed."""
    if answer is False:
        return False
    if answer is None:
        if case.who == "alice" and case.action == "kill":
            return True
        tally.hangs += 1
        tally.complain(case, "the client hangs")
        return True
    if case.who == "alice" and case.action == "kill":
        return True
    lie = case.action == "flip"
    if answer.code == 0:
        if scenario.answers and answer.text != d.twin():
            if lie:
                tally.spoilt += 1
            else:
                tally.wrong += 1
                tally.complain(case, f"the answer is {answer.text!r}, the twin's is {d.twin()!r}")
        return False
    if answer.code not in NAMED_CODES and not (lie and answer.code == VOID):
        tally.complain(case, f"the client ends with {answer}")
    lines = [line for line in answer.error.splitlines() if line]
    if len(lines) != 1 or not re.match(r"cachet \w+: error \(\w+\): ", lines[0]):
        tally.complain(case, f"not one line of error: {answer}")
    blamed = blame(case)
    if answer.code in NAMED_CODES and case.who != "alice" and scenario.answers and not any(name in answer.error for name in blamed):
        tally.complain(case, f"the client does not name {' or '.join(blamed)}: {answer}")
    return answer.code != VOID


def blame(case):
    """Who may be named for it."""
    return [shown(name) for name in PARTIES] if case.action in SILENT else [shown(case.who)]


def judge_logs(d, case, scenario, marks, failed, tally):
    """Each other party that had begun a request which failed names the end at fault; no line of error is without a name."""
    for name in PARTIES:
        news = d.news(name, marks[name])
        errors = errors_in(news)
        begun = len(re.findall(r" begins: ", news)) > len(re.findall(r"request of alice done", news))
        for line in errors:
            if not re.search(r"P[012]|alice", line.split(" ", 1)[1]):
                tally.complain(case, f"{name} names nobody: {line}")
        # A party that stands still keeps the client from giving orders, whom the others then may name.
        words = blame(case) + (["alice"] if case.action in SILENT else [])
        named = any(word in line.split(" ", 1)[1] for line in errors for word in words)
        if failed and scenario.answers and begun and name != case.who and case.who in PARTIES and not named:
            tally.complain(case, f"{name} does not name {shown(case.who)}: {news[-900:]}")


def judge_living(d, case, scenario, tally):
    """Who has ended, was killed: by the case or by the scenario. A party whose meeting fails ends with an error, too."""
    killed = {case.who if case.action == "kill" else None, scenario.victim}
    for name, code in d.exits:
        if not (code == -signal.SIGKILL and name in killed) and not (scenario.victim and code in NAMED_CODES):
            tally.complain(case, f"{name} has ended with {code}: {d.news(name, 0)[-400:]}")


def recover(d, case, tally):
    """The next request, as soon as there can be one. Parties that have ended are started, as a service manager does."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    answer = None
    while time.monotonic() < deadline:
        d.start_missing()
        answer = d.ask()
        if answer is None or answer.code == 0:
            break
    if answer is None:
        tally.hangs += 1
        tally.complain(case, "the next client hangs")
    elif answer.code != 0:
        tally.hangs += 1
        tally.complain(case, f"no next answer within {RECOVERY_SECONDS} s: {answer}")
    elif answer.text != d.twin():
        tally.wrong += 1
        tally.complain(case, f"the next answer is {answer.text!r}, the twin's is {d.twin()!r}")


def drive(d, case, scenario, tally):
    """Some sites are passed when the processes' timing has it so: what was not reached is tried again, at the first passage."""
    for again in range(TRIES):
        if attempt(d, case if again == 0 else case._replace(passage=1), scenario, tally):
            tally.fired.add((case.point, case.who, case.action))
            return
    tally.unreached += 1


def attempt(d, case, scenario, tally):
    """Whether the fault happened."""
    before = len(tally.complaints)
    d.exits.clear()
    marks = d.marks()
    orders = d.orders[case.who]
    orders.give(f"{case.point}:{case.passage}:{case.action}")
    answer = scenario.act(d, scenario)
    fired = orders.fired()
    orders.withdraw()
    tally.driven += fired
    failed = judge_answer(d, case, scenario, answer, tally)
    recover(d, case, tally)
    judge_living(d, case, scenario, tally)
    judge_logs(d, case, scenario, marks, failed, tally)
    tally.survived += fired and len(tally.complaints) == before
    if len(tally.complaints) > before:  # a failed case leaves nothing that the next one could stumble over
        d.stop()
        d.first_meeting()
    return fired


# --- which faults there are ---

def census(d, names):
    """Which end passes which failpoint in which scenario, and how often: {(point, who): [(scenario, passages), ...]}."""
    reached = collections.defaultdict(list)
    for scenario in SCENARIOS:
        before = {who: d.orders[who].passed() for who in ENDS}
        scenario.act(d, scenario)
        after = {who: d.orders[who].passed() for who in ENDS}
        d.start_missing()
        recover(d, Case(scenario.name, "census", "", 0, ""), Tally())
        for who in ENDS:
            for i, point in enumerate(names):
                if after[who][i] > before[who][i]:
                    reached[point, who].append((scenario, after[who][i] - before[who][i]))
    return reached


def cases_of(names, reached, everything):
    chance = random.Random(SEED)
    cases = []
    for (point, who), places in sorted(reached.items()):
        scenario, passages = places[0]
        for action in ACTIONS[names[point]]:
            for passage in sorted({1, (passages + 1) // 2} if everything else {(passages + 1) // 2}):
                cases.append((Case(scenario.name, point, who, passage, action), scenario))
    return cases if everything else spread(cases, chance)


def spread(cases, chance):
    """A few that hold every failpoint once, and every end with every action but for some of the three seconds."""
    chance.shuffle(cases)
    chosen, seen = [], set()
    for case, scenario in cases:
        new = {case.point, (case.who, case.action)}
        if new <= seen or (case.action == "stop" and (case.who, case.action) in seen):
            continue
        seen |= new
        chosen.append((case, scenario))
    return chosen


def drive_all(program, root, everything, tally):
    names = failpoints(program)
    with Deployment(program, root) as d:
        d.first_meeting()
        d.twin()
        reached = census(d, names)
        cases = cases_of(names, reached, everything)
        started = time.monotonic()
        for case, scenario in cases:
            drive(d, case, scenario, tally)
        print(f"{len(cases)} cases in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return {case.point for case, _ in cases}, {case.action for case, _ in cases}, {case.who for case, _ in cases}


# --- the release ---

def judge_release(cachet, names, tally):
    """The program that is installed knows no failpoint."""
    with open(cachet, "rb") as file:
        program = file.read()
    for word in (*names, "CACHET_FAILPOINT", "cachet_failpoints"):
        if word.encode() in program:
            tally.complain(Case("release", word, "", 0, ""), "is in the program that is installed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cachet")
    parser.add_argument("program")
    parser.add_argument("root")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    names = failpoints(options.program)
    links, files = Tally(), Tally()
    judge_release(options.cachet, names, links)
    points, actions, ends = drive_all(options.program, options.root, options.all, links)
    file_points = file_faults.drive_all(options.program, options.root, names, options.all, files)
    for missing in {name for name in names if not name.startswith(OF_TWO)} - points - file_points:
        links.complain(Case("census", missing, "", 0, ""), "no scenario passes it")
    for missing in ({action for kind in ACTIONS.values() for action in kind} - actions) | (set(ENDS) - ends):
        links.complain(Case("census", missing, "", 0, ""), "is not driven")
    print(HEAD, links.row("links"), files.row("files"), sep="\n")
    fired = {point for point, _, _ in links.fired}
    print(f"{len(fired | file_points)} of {len(names)} failpoints failed, seed {SEED}; {links.unreached + files.unreached} faults were not reached in "
          f"{TRIES} tries, of failpoints that failed in no other: {', '.join(sorted(points - fired)) or 'none'}")
    return 1 if links.complaints or files.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
