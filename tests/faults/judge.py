"""What a fault may lead to, and whether it has led to that: which error, of whom, and when. Of deployments of three parties and of two.

A party that stops gives its reason to the others, who end with `closed` and its words: the class that docs/errors.md has for the fault itself is then
that of the words, read here from the text (KINDS)."""
import collections
import re
import signal
import sys
import time

from deployment import SLOW

PARTIES = ("p0", "p1", "p2")
FRAME_ACTIONS = ("cut", "drop", "double", "swap", "truncate", "extend", "flip", "header")
ACTIONS = {"send": ("kill", "term", "stop", *FRAME_ACTIONS), "receive": ("kill", "term", "stop", "cut"), "write": ("kill", "term", "stop")}
VOID, PEER, MISMATCH, TIMEOUT, CLOSED = 7, 8, 9, 10, 11  # docs/errors.md
NAMED_CODES = (PEER, MISMATCH, TIMEOUT, CLOSED)
# After these a party waits in vain, and those who wait for it may see it fall silent before they learn for whom.
SILENT = ("stop", "drop", "swap")
STOPPED_SECONDS = 3
# Beyond its deadline: what answers were seen to take is at most 1 s more on two cores with a load of ten. P0 waits for twice the deadline, as it hears of
# a loss from the others; one that waits without end is found at Deployment.limit_seconds, many times as late.
SLACK_SECONDS = 3 * SLOW
RECOVERY_SECONDS = 30 * SLOW

Case = collections.namedtuple("Case", "scenario point who passage action")

KINDS = (
    ("stopped", r"asked to stop"),
    ("timeout", r"within \d+ ms|has said nothing for|no order for too long|left this party behind|takes connections but does not answer|within \.\.\. ms"),
    ("mismatch", r"HELLO field|HELLO has \d+ fields here|, and there |version \d+ of|party id is|is for another|runs (?:with|another)"),
    ("peer", r"frame field|frame of|its HELLO|announced|expected|another request than|another text than|not take the material|opens a slot|orders |opened different|had bytes|not answer a ping|its message is no |belongs to another session|says that it |base OT \d+ holds"),
    ("busy", r"is busy with another session|ends the handshake"),
    ("closed", r"the connection was lost|the link ended|the link to|gave no reason|did not take the link|stopped"),
)
# The client's exit code and the kind of what it says, by the action.
WRONG_CONTENT = ((PEER, CLOSED), ("peer",))
LOST = ((PEER, CLOSED), ("closed", "busy"))
EXPECTED = {
    "kill": LOST,
    "term": ((CLOSED,), ("stopped", "closed", "busy")),
    "cut": LOST,
    "stop": ((TIMEOUT, CLOSED), ("timeout",)),
    "drop": ((PEER, TIMEOUT, CLOSED), ("peer", "timeout")),
    "swap": ((PEER, TIMEOUT, CLOSED), ("peer", "timeout")),
    "double": WRONG_CONTENT,
    "truncate": WRONG_CONTENT,
    "extend": WRONG_CONTENT,
    "header": WRONG_CONTENT,
    # The wrong content of a field of HELLO is another field, that of a share may be an answer that is void.
    "flip": ((VOID, PEER, MISMATCH, CLOSED), ("peer", "mismatch", "void")),
}
# While two ends connect, one that is gone is waited for until limits.connect_seconds, as it may come again.
CONNECTING = ("net.open", "net.accept", "net.hello", "net.abort", "parties.reason", "engine.key", "pair.store.")


def shown(name):
    """How an end is called in errors."""
    return name.upper() if name in PARTIES else name


def kind_of(text):
    """Of the fault that an error tells: its innermost cause, which is the last."""
    if "left the range" in text:
        return "void"
    last = re.split(r" stopped: ", text)[-1]
    return next((kind for kind, words in KINDS if re.search(words, last)), "unknown")


class Scenario:
    """One way to use the deployment while a fault is due. `act` returns the client's answer: None when it hung, False when there is none. `answers`: it
    should be the twin's. `victim`: whom the scenario kills itself; `meets`: the parties meet in it; `kinds`: what the client may say without a fault. `before` sets up what it needs, `after` judges what it leaves."""

    def __init__(self, name, act, answers, flags=(), victim=None, meets=False, kinds=(), before=None, after=None):
        self.name, self.act, self.answers, self.flags, self.victim = name, act, answers, flags, victim
        self.before, self.after = before, after
        self.meets = meets or victim is not None
        self.kinds = (*kinds, *(("closed", "busy", "timeout") if self.meets else ()))


class Tally:
    def __init__(self):
        self.driven = self.survived = self.hangs = self.wrong = self.spoilt = self.late = 0
        self.longest = 0.0
        self.complaints, self.unreached, self.fired = [], [], set()  # fired: (point, who, action) of faults that happened

    def complain(self, case, text):
        self.complaints.append(f"{' '.join(map(str, case))}: {text}")
        print("not good:", self.complaints[-1], file=sys.stderr, flush=True)

    def row(self, name):
        return f"| {name} | {self.driven} | {self.survived} | {self.hangs} | {self.wrong} | {self.spoilt} | {self.late} |"

    def unclean(self, d):
        """Of a deployment that has stopped."""
        for text in d.unclean:
            self.complain(Case("the end", "", "", 0, ""), text)


HEAD = "| faults | driven | survived | hangs | wrong answers | spoilt by a lie | too late |\n|---|---|---|---|---|---|---|"


# --- what a client got ---

def allowed_seconds(d, case, meets=False):
    """From the fault to the client's error."""
    wait = max(d.connect_seconds, d.step_seconds) if meets or case.point.startswith(CONNECTING) else d.step_seconds
    return wait + (STOPPED_SECONDS if case.action == "stop" else 0) + SLACK_SECONDS


def judge_deadline(d, case, scenario, answer, tally):
    if answer.after is None or answer.code == 0:
        return
    tally.longest = max(tally.longest, answer.after)
    allowed = allowed_seconds(d, case, scenario.meets)
    if answer.after > allowed:
        tally.late += 1
        tally.complain(case, f"the error comes {answer.after:.1f} s after the fault, {allowed:.1f} s are allowed: {answer}")


def blame(case, scenario):
    """Who is at fault."""
    names = [shown(name) for name in (case.who, scenario.victim) if name]
    return names + (["the client"] if case.who == "alice" else [])


def names_any(text, names):
    return any(re.search(rf"(?<!\w){name}(?!\w)", text) for name in names)


def ends_itself(case, scenario, answer):
    """The client was told to stop, and says so: of others there is nothing to say."""
    told = case.who == "alice" and case.action == "term" or "stopped" in scenario.kinds
    return told and answer.code == CLOSED and re.fullmatch(r"cachet \w+: error \(closed\): .*asked to stop.*\n", answer.error) is not None


def judge_error(d, case, scenario, answer, tally):
    """A client that failed: with the right class, one line, and the name of who is at fault unless nobody could tell it."""
    codes, kinds = EXPECTED[case.action]
    kinds = (*kinds, *scenario.kinds)
    if case.point.startswith(CONNECTING):
        codes, kinds = (*codes, TIMEOUT), (*kinds, "timeout", "busy", "closed")
    if scenario.meets or case.who == "alice":  # which hears of its own fault by a word of those who noticed it
        codes = (*codes, TIMEOUT, CLOSED)
    if scenario.name == "check":  # which says so in a line of its own
        codes = (*codes, MISMATCH)
    lines = [line for line in answer.error.splitlines() if line and not (d.notice and line.startswith(d.notice))]
    if len(lines) != 1 or not re.match(r"cachet \w+: error \(\w+\): ", lines[0]):
        tally.complain(case, f"not one line of error: {answer}")
        return
    told = lines[0] + (answer.out if "of the lines above" in lines[0] else "")
    kind = kind_of(lines[0])
    if answer.code not in codes:
        tally.complain(case, f"exit code {answer.code}, expected one of {sorted(set(codes))}: {answer}")
    elif answer.code != MISMATCH and case.who != "alice" and kind not in kinds:
        tally.complain(case, f"an error of kind {kind}, expected one of {', '.join(sorted(set(kinds)))}: {answer}")
    # Two parties encrypt weights while they meet: the one that a client asks first is silent until the other one is there.
    innocent = kind in ("timeout", "busy") and (case.action in SILENT or scenario.meets and scenario.victim is None)
    if innocent or kind == "void" or case.who == "alice":
        return
    if not names_any(told, blame(case, scenario)):
        tally.complain(case, f"the client does not name {' or '.join(blame(case, scenario))}: {answer}")


def judge_answer(d, case, scenario, answer, tally):
    """What the client got while the fault happened. Returns whether it failed."""
    if answer is False:
        return False
    if case.who == "alice" and case.action == "kill" and (answer is None or answer.code == -signal.SIGKILL):
        return True
    if answer is None:
        tally.hangs += 1
        tally.complain(case, "the client hangs")
        return True
    if case.who == "alice" and case.action == "term" and scenario.name == "check" and answer.code == -signal.SIGTERM:
        return True  # it only asks, and has nothing to put in order
    if "Sanitizer" in answer.error or "runtime error:" in answer.error:
        tally.complain(case, f"a report of a sanitizer: {answer.error[-2000:]}")
    judge_deadline(d, case, scenario, answer, tally)
    if answer.code == 0:
        if scenario.answers and answer.text != d.twin():
            if case.action == "flip":
                tally.spoilt += 1
            else:
                tally.wrong += 1
                tally.complain(case, f"the answer is {answer.text!r}, the twin's is {d.twin()!r}")
        return False
    if ends_itself(case, scenario, answer):
        return False
    judge_error(d, case, scenario, answer, tally)
    return answer.code != VOID


# --- what the parties say ---

def errors_in(text):
    """Without what every failed request begins with, the client's name."""
    lines = re.findall(r"^\S+ (?:error|warning) (P[012] .*)$", text, re.M)
    return [re.sub(r"request of \w+ failed: ", "", line) for line in lines if "connecting again" not in line and "material is set aside" not in line]


def is_settled(news):
    """Each request that a party began has its last line: a client may have its answer a moment before."""
    return len(re.findall(r" begins: ", news)) <= len(re.findall(r"request of \w+ (?:done|failed)", news))


def judge_logs(d, case, scenario, marks, failed, tally):
    """The first word of each other party that had begun a request which failed tells who is at fault; no line is without a name. Later words are of
    what the fault led to, and name those who ended for it."""
    told, begun = {}, []
    d.until(SLOW, lambda: all(is_settled(d.news(name, marks[name])) for name in d.parties if name not in (case.who, scenario.victim)))
    for name in d.parties:
        news = d.news(name, marks[name])
        errors = errors_in(news)
        for line in errors:
            if not re.search(r"P[012]|alice|the client|this party|its own", line.split(" ", 1)[1]):
                tally.complain(case, f"{name} names nobody: {line}")
        if len(re.findall(r" begins: ", news)) > len(re.findall(r"request of alice done", news)) and name != case.who and name != scenario.victim:
            begun.append(name)
            if errors:
                told[name] = errors[0].split(" ", 1)[1]
    names = blame(case, scenario)
    if not failed or not begun or case.who == "alice" and case.action == "term":
        return
    if case.action in SILENT:
        for name, line in told.items():
            if kind_of(line) == "peer" and case.who != "alice" and not names_any(line, names):
                tally.complain(case, f"{name} names an innocent: {line}")
        return
    if case.who == "alice":  # a party that was given another order than its peer sees that one leave, and no more
        if not any(names_any(line, names) for line in told.values()):
            tally.complain(case, f"nobody names alice: {told}")
        return
    for name in begun:
        if not names_any(told.get(name, ""), names):
            tally.complain(case, f"{name} does not name {' or '.join(names)}: {told.get(name) or d.news(name, marks[name])[-900:]}")


def judge_endings(d, case, scenario, marks, tally):
    """A party that ends because of what it was told in a meeting names who told it."""
    for name in d.parties:
        last = re.search(r"^cachet party: error \(\w+\): (.*)$", d.news(name, marks[name]), re.M)
        if last and name not in (case.who, scenario.victim) and kind_of(last[1]) in ("peer", "mismatch") and not names_any(last[1], blame(case, scenario)):
            tally.complain(case, f"{name} ends and does not name {' or '.join(blame(case, scenario))}: {last[1]}")


def judge_silence(d, case, scenario, marks, answer, failed, tally):
    """Of whom nothing is heard, somebody has to tell: the client, or a party that waited."""
    if case.action not in SILENT or not failed or answer is False or scenario.meets or case.point.startswith(CONNECTING):
        return
    words = [line for name in d.parties if name != case.who for line in errors_in(d.news(name, marks[name]))]
    words += [answer.error] if answer is not None and case.who != "alice" else []
    if not names_any("\n".join(words), blame(case, scenario)):
        tally.complain(case, f"nobody names {' or '.join(blame(case, scenario))}: {answer}: {' | '.join(words)[-900:]}")


def judge_living(d, case, scenario, tally):
    """Who has ended, was killed or told to: by the case or by the scenario. A party whose meeting fails ends with an error, too."""
    killed = {case.who if case.action == "kill" else None, scenario.victim}
    for name, code in d.exits:
        right = code == -signal.SIGKILL and name in killed or code == 0 and name == case.who and case.action == "term"
        meets = (scenario.meets or case.point.startswith(CONNECTING)) and code in NAMED_CODES
        if not right and not meets:
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
        tally.complain(case, f"no next answer within {RECOVERY_SECONDS:g} s: {answer}")
    elif answer.text != d.twin():
        tally.wrong += 1
        tally.complain(case, f"the next answer is {answer.text!r}, the twin's is {d.twin()!r}")


def attempt(d, case, scenario, tally):
    """Whether the fault happened. What came of it is judged."""
    before = len(tally.complaints)
    if scenario.before is not None:
        scenario.before(d)
    d.exits.clear()
    marks = d.marks()
    d.order(case.who, f"{case.point}:{case.passage}:{case.action}")
    answer = scenario.act(d, scenario)
    fired = d.withdraw()
    tally.driven += fired
    failed = judge_answer(d, case, scenario, answer, tally)
    recover(d, case, tally)
    judge_living(d, case, scenario, tally)
    judge_logs(d, case, scenario, marks, failed, tally)
    judge_endings(d, case, scenario, marks, tally)
    judge_silence(d, case, scenario, marks, answer, failed, tally)
    if scenario.after is not None:
        scenario.after(d, case, tally)
    tally.survived += fired and len(tally.complaints) == before
    if fired:
        tally.fired.add((case.point, case.who, case.action))
    if len(tally.complaints) > before:  # a failed case leaves nothing that the next one could stumble over
        d.stop()
        d.first_meeting()
    return fired


# --- which faults there are ---

def census(d, scenarios, names):
    """Which end passes which failpoint in which scenario, and how often: {(point, who): [(scenario, passages), ...]}."""
    reached = collections.defaultdict(list)
    for scenario in scenarios:
        if scenario.before is not None:
            scenario.before(d)
        before = {who: orders.passed() for who, orders in d.orders.items()}
        scenario.act(d, scenario)
        after = {who: orders.passed() for who, orders in d.orders.items()}
        recover(d, Case(scenario.name, "census", "", 0, ""), Tally())
        for who in d.orders:
            for i, point in enumerate(names):
                if after[who][i] > before[who][i]:
                    reached[point, who].append((scenario, after[who][i] - before[who][i]))
    return reached


def cases_of(names, reached, everything):
    """Each action at the middle passage of each failpoint and end that passes it; everything: at the first one, too."""
    cases = []
    for (point, who), places in sorted(reached.items(), key=lambda item: item[0]):
        scenario, passages = places[0]
        for action in ACTIONS[names[point]]:
            for passage in sorted({1, (passages + 1) // 2} if everything else {(passages + 1) // 2}):
                cases.append((Case(scenario.name, point, who, passage, action), places))
    return cases


def spread(cases, chance):
    """A few that hold every failpoint once, and every end with every action but for some of the three seconds."""
    chance.shuffle(cases)
    chosen, seen = [], set()
    for case, places in cases:
        new = {case.point, (case.who, case.action)}
        if new <= seen or (case.action == "stop" and (case.who, case.action) in seen):
            continue
        seen |= new
        chosen.append((case, places))
    return chosen


def drive(d, case, places, tries, tally):
    """Some sites are passed when the processes' timing has it so: what was not reached is tried again, at the first passage, in each scenario that has
    passed it."""
    for again in range(tries):
        scenario, _ = places[again % len(places)]
        passage = case.passage if again == 0 else 1
        if attempt(d, case._replace(scenario=scenario.name, passage=passage), scenario, tally):
            return True
    return False
