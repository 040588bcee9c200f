"""Every failpoint x every end x every action that applies, over three real parties and a client: nothing hangs, the right error is named on
each side, the others live, and the next answer is the twin's.

usage: faults.py CACHET CACHET_FAILPOINTS SOURCE_ROOT [--all]

Without --all a spread of fixed seed that drives every failpoint, every action and every end. Prints a table; the exit code says whether all
of it held."""
import argparse
import os
import random
import signal
import sys
import time

import file_faults
from deployment import PARTIES, Deployment, failpoints
from judge import ACTIONS, HEAD, Case, Scenario, Tally, cases_of, census, drive, recover, spread

ENDS = (*PARTIES, "alice")
TRIES = 6
LONG, LONG_PROMPT = 110, "One day a little girl named Lily went to the park with her mom and her dog. " * 4
SEED = 20240611
OF_TWO = ("pair.", "engine.text.")  # what two parties alone pass: spool.py drives it
# Listed, and passed by no deployment.
UNREACHED = {name: "the shuffle of rows is a gate of the conformance suite, and no cache policy uses it" for name in ("protocols.shuffle.send", "protocols.shuffle.receive")}


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
    d.until(d.limit_seconds, lambda: "begins:" in d.news(scenario.victim, marks[scenario.victim]) or process.poll() is not None)
    time.sleep(0.1)
    d.kill(scenario.victim)
    return d.end(process, started)


def meet(d, scenario):
    """A party that was idle dies and comes again: the others meet it."""
    marks = d.marks()
    d.kill(scenario.victim)
    d.start(scenario.victim)
    d.until(d.connect_seconds + 4, lambda: d.wait_ready(marks, 0) or any(not d.alive(name) for name in PARTIES))
    return False


def check_clocks(d, _):
    started = time.monotonic()
    process = d.begin_words([d.program, "check", "--config", d.path("config.yaml"), "--key", d.path("alice.key"), "--shares", d.path("set", "client")])
    return d.end(process, started)


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
    heard_in_time = d.until(d.limit_seconds, heard)
    os.set_blocking(process.stdout.fileno(), True)
    return heard_in_time and bool(found) and process.poll() is None


SCENARIOS = [Scenario("request", ask, True), Scenario("inside", ask, True, ("--inside",)), Scenario("interrupt", interrupt, False, kinds=("stopped",)),
             *(Scenario(f"lose {name}", lose, False, victim=name) for name in PARTIES),
             *(Scenario(f"lose {name} unattended", lose_unattended, False, victim=name) for name in PARTIES),
             *(Scenario(f"lose {name} in the prompt", lose_in_prompt, False, victim=name) for name in PARTIES),
             *(Scenario(f"meet {name}", meet, False, victim=name) for name in PARTIES), Scenario("check", check_clocks, False)]


# --- which faults there are ---

def drive_all(program, root, everything, tally):
    """The cases."""
    names = failpoints(program)
    with Deployment(program, root) as d:
        d.first_meeting()
        d.twin()
        cases = cases_of(names, census(d, SCENARIOS, names), everything)
        if not everything:
            cases = spread(cases, random.Random(SEED))
        started = time.monotonic()
        for case, places in cases:
            if not drive(d, case, places, TRIES, tally):
                tally.unreached.append(case)
        print(f"{len(cases)} cases in {time.monotonic() - started:.0f} s", file=sys.stderr)
        recover(d, Case("the end", "", "", 0, ""), tally)
        d.stop()
        tally.unclean(d)
    return [case for case, _ in cases]


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
    cases = drive_all(options.program, options.root, options.all, links)
    file_points = file_faults.drive_all(options.program, options.root, names, options.all, files)
    census_says = lambda what, text: links.complain(Case("census", what, "", 0, ""), text)  # noqa: E731
    points, fired = {case.point for case in cases}, {point for point, _, _ in links.fired}
    for missing in {name for name in names if not name.startswith(OF_TWO)} - points - file_points - set(UNREACHED):
        census_says(missing, "no scenario passes it")
    for found in points & set(UNREACHED):
        census_says(found, "is passed, and its reason is not to be")
    for missing in points - fired:
        census_says(missing, f"has not failed in {TRIES} tries of each fault")
    for missing in ({action for kind in ACTIONS.values() for action in kind} - {case.action for case in cases}) | (set(ENDS) - {case.who for case in cases}):
        census_says(missing, "is not driven")
    print(HEAD, links.row("links"), files.row("files"), sep="\n")
    print(f"{len(fired | file_points)} of {len(names)} failpoints failed, seed {SEED}; the latest error came {links.longest:.1f} s after its fault; "
          f"{len(links.unreached + files.unreached)} faults were not reached: {', '.join(' '.join(map(str, case)) for case in links.unreached + files.unreached) or 'none'}")
    for name, why in UNREACHED.items():
        print(f"not driven: {name}: {why}")
    return 1 if links.complaints or files.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
