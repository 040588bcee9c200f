"""Each party killed in the middle of an answer and started again, many times: the next answer is the twin's, and no session id, session key
or stream key ever comes back.

usage: restart.py CACHET_FAILPOINTS SOURCE_ROOT [TIMES]"""
import collections
import random
import sys
import time

from deployment import PARTIES, Deployment
from faults import ENDS, LONG
from judge import Case, Scenario, Tally, judge_answer, judge_living, judge_logs, recover

SEED, TIMES = 7, 6
LONGEST_WAIT = 0.4


def break_off(pause):
    """A party dies after the pause, wherever it is then."""
    def act(d, scenario):
        started = time.monotonic()
        process = d.begin("--ignore-eos", tokens=LONG)
        time.sleep(pause)
        d.fired_at = time.monotonic()
        d.kill(scenario.victim)
        return d.end(process, started)
    return act


def restart(d, case, pause, tally):
    before = len(tally.complaints)
    d.exits.clear()
    marks = d.marks()
    d.order(case.who, "")  # no fault at a failpoint: the driver kills by itself
    scenario = Scenario("restart", break_off(pause), False, victim=case.who)
    answer = scenario.act(d, scenario)
    d.withdraw()
    tally.driven += 1
    failed = judge_answer(d, case, scenario, answer, tally)
    if answer is not None and answer.code == 0 and answer.text != d.twin("--ignore-eos", tokens=LONG):
        tally.wrong += 1
        tally.complain(case, f"the answer is {answer.text!r}")
    recover(d, case, tally)
    judge_living(d, case, scenario, tally)
    judge_logs(d, case, scenario, marks, failed, tally)
    tally.survived += len(tally.complaints) == before


def judge_fingerprints(d, times, tally):
    """Both ends of a pair hold the same ids and keys; nobody holds one twice. Returns how many there were, and how often one came back."""
    seen, came_back = collections.Counter(), 0
    for who in ENDS:
        own = d.orders[who].fingerprints()
        seen.update(own)
        repeated = len(own) - len(set(own))
        came_back += repeated
        if repeated or (who in PARTIES and len(own) < 4 * times):
            tally.complain(Case("fingerprints", "", who, 0, ""), f"{len(own)} of them, {repeated} came back")
    if max(seen.values()) > 2:
        tally.complain(Case("fingerprints", "", "", 0, ""), "one is known to more than two")
    return len(seen), came_back


def main():
    program, root = sys.argv[1:3]
    times = int(sys.argv[3]) if len(sys.argv) > 3 else TIMES
    tally, chance = Tally(), random.Random(SEED)
    with Deployment(program, root) as d:
        d.first_meeting()
        recover(d, Case("first", "", "", 0, ""), tally)
        for i in range(times):
            restart(d, Case("restart", "", PARTIES[i % 3], i, "kill"), chance.uniform(0, LONGEST_WAIT), tally)
        different, came_back = judge_fingerprints(d, times, tally)
        d.stop()
        tally.unclean(d)
    print("| restarts | survived | hangs | wrong answers | too late | ids and keys | of them came back |\n|---|---|---|---|---|---|---|")
    print(f"| {tally.driven} | {tally.survived} | {tally.hangs} | {tally.wrong} | {tally.late} | {different} | {came_back} |")
    print(f"the latest error came {tally.longest:.1f} s after its fault", file=sys.stderr)
    return 1 if tally.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
