"""Each party killed in the middle of an answer and started again, many times: the next answer is the twin's, and no session id, session key
or stream key ever comes back.

usage: restart.py CACHET_FAILPOINTS SOURCE_ROOT [TIMES]"""
import collections
import random
import sys
import time

from deployment import PARTIES, Deployment
from faults import ENDS, LONG, NAMED_CODES, Case, Tally, recover

SEED, TIMES = 7, 6
LONGEST_WAIT = 0.4


def restart(d, case, pause, tally):
    before = len(tally.complaints)
    started = time.monotonic()
    process = d.begin("--ignore-eos", tokens=LONG)
    time.sleep(pause)
    d.kill(case.who)
    answer = d.end(process, started)
    d.start_missing()
    tally.driven += 1
    if answer is None:
        tally.hangs += 1
        tally.complain(case, "the client hangs")
    elif answer.code == 0 and answer.text != d.twin("--ignore-eos", tokens=LONG):
        tally.wrong += 1
        tally.complain(case, f"the answer is {answer.text!r}")
    elif answer.code not in (0, *NAMED_CODES):
        tally.complain(case, f"the client ends with {answer}")
    recover(d, case, tally)
    tally.survived += len(tally.complaints) == before


def judge_fingerprints(d, times, tally):
    """Both ends of a pair hold the same ids and keys; nobody holds one twice."""
    seen = collections.Counter()
    for who in ENDS:
        own = d.orders[who].fingerprints()
        seen.update(own)
        repeated = len(own) - len(set(own))
        if repeated or (who in PARTIES and len(own) < 4 * times):
            tally.complain(Case("fingerprints", "", who, 0, ""), f"{len(own)} of them, {repeated} came back")
    if max(seen.values()) > 2:
        tally.complain(Case("fingerprints", "", "", 0, ""), "one is known to more than two")
    return len(seen)


def main():
    program, root = sys.argv[1:3]
    times = int(sys.argv[3]) if len(sys.argv) > 3 else TIMES
    tally, chance = Tally(), random.Random(SEED)
    with Deployment(program, root) as d:
        d.first_meeting()
        recover(d, Case("first", "", "", 0, ""), tally)
        for i in range(times):
            restart(d, Case("restart", "", PARTIES[i % 3], i, "kill"), chance.uniform(0, LONGEST_WAIT), tally)
        different = judge_fingerprints(d, times, tally)
    print("| restarts | survived | hangs | wrong answers | ids and keys, all different |\n|---|---|---|---|---|")
    print(f"| {tally.driven} | {tally.survived} | {tally.hangs} | {tally.wrong} | {different} |")
    return 1 if tally.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
