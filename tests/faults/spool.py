"""Mode two-party while a party dies, stands still, or a frame is lost or wrong, at each failpoint that its processes pass: in an answer, while material is
made ahead of use or taken, in a meeting, and while encrypted weights are kept. Nothing hangs, the right error is named, the next answer is the clear's,
no file is left half written, and no text is used twice: no key of masks ever comes back.

usage: spool.py CACHET_FAILPOINTS SOURCE_ROOT [--all]

Without --all a spread of fixed seed that drives every failpoint that two parties alone pass, some others, and every action."""
import collections
import os
import random
import re
import subprocess
import sys
import time

from deployment import SLOW, Deployment, failpoints
from judge import HEAD, SILENT, Case, Scenario, Tally, cases_of, census, drive, recover, spread

SCOPE = ("pair.", "engine.text.")  # what three parties never pass
SHARED = ("mpc.round", "mpc.answer.", "net.hello.", "engine.part.", "engine.order.")  # of what three pass, too: a spread has one of each
TRIES = 4
SEED = 20240612
FEWEST_KEYS = 20


class Pair(Deployment):
    """Two parties with folders for material."""

    parties, clients, mode = ("p1", "p2"), ("alice",), "two-party"
    model_folder, context, more_of_plan = "tests/support/transformers/qwen2", 8, ("--general",)
    more_of_config = ("spool: {most: 8, dry: make}",)
    notice = "no material waits for a request"

    def __init__(self, program, root):
        super().__init__(program, root, step_seconds=round(2 * SLOW), connect_seconds=round(4 * SLOW))  # what is made between two frames takes its time
        self.limit_seconds = 90 * SLOW  # many texts are made in one request

    def party_words(self, name):
        return [*super().party_words(name), "--spool", self.path(f"spool-{name}")]

    def client_words(self, *_, **__):
        return self.words_of("generate", "--prompt", "a", "--max-tokens", "2", "--ignore-eos", "--json")

    def words_of(self, command, *words):
        return [self.program, command, "--config", self.path("config.yaml"), "--key", self.path("alice.key"), "--shares", self.path("set", "client"), *words]

    def answer_of(self, out):
        return tokens(out.decode(errors="replace"))

    def prepare(self, texts=1):
        started = time.monotonic()
        return self.end(self.begin_words(self.words_of("prepare", "--prompt-tokens", "1", "--tokens", "2", "--texts", str(texts))), started)

    def twin(self, *_, **__):
        if not self.expected:
            done = subprocess.run([self.program, "generate", "--backend", "clear", "--model", self.model, "--plan", self.path("plan.json"), "--prompt", "a",
                                   "--max-tokens", "2", "--ignore-eos", "--json"], check=True, capture_output=True, env=self.environment)
            self.expected["a"] = self.answer_of(done.stdout)
        return self.expected["a"]

    def files(self, name):
        folder = self.path(f"spool-{name}")
        return set(os.listdir(folder)) if os.path.isdir(folder) else set()

    def waiting(self):
        return {name for name in self.files("p1") & self.files("p2") if name.endswith(".text")}

    def kept(self, name):
        """Files of encrypted weights, and what may be left of one."""
        return [self.path("set", name, file) for file in os.listdir(self.path("set", name)) if file.startswith("encrypted-weights")]


def tokens(text):
    return re.sub(r"\s", "", text.split('"text"')[0])


# --- scenarios ---

def text_waits(d):
    if d.waiting():
        return
    answer = d.prepare(3)
    if answer is None or answer.code != 0:
        raise RuntimeError(f"nothing can be made: {answer}")


def no_weights(d):
    d.stop()
    for name in d.parties:
        for path in d.kept(name):
            os.remove(path)


def take(d, _):
    return d.ask()


def make(d, _):
    return d.prepare()


def meet(d, scenario):
    """A party dies while it is idle and comes again."""
    d.kill(scenario.victim)
    d.start(scenario.victim)
    return d.ask()


def keep(d, _):
    """Both encrypt their weights again, and each keeps what it has of the other."""
    marks = d.marks()
    d.start(*d.parties)
    d.until(d.limit_seconds, lambda: d.wait_ready(marks, 0) or any(not d.alive(name) for name in d.parties))
    return d.ask()


def folders_are_whole(d, case, tally):
    left = [name for who in d.parties for name in d.files(who) if not name.endswith(".text")]
    if left:
        tally.complain(case, f"left in a folder: {left}")


def weights_are_kept(d, case, tally):
    """After the next answer there is one whole file at each, which the next start takes as it is."""
    for name in d.parties:
        if [os.path.basename(path) for path in d.kept(name)] != ["encrypted-weights"]:
            tally.complain(case, f"{name} keeps {d.kept(name)}")
    d.stop()
    marks = d.marks()
    d.start(*d.parties)
    answer = d.ask()
    if answer is None or answer.code != 0 or answer.text != d.twin():
        tally.complain(case, f"after a fresh start: {answer}")
    for name in d.parties:
        if re.search("are encrypted|made anew", d.news(name, marks[name])):
            tally.complain(case, f"{name} does not take the weights that it kept: {d.news(name, marks[name])[-900:]}")


SCENARIOS = [Scenario("take", take, True, before=text_waits, after=folders_are_whole), Scenario("make", make, False, after=folders_are_whole),
             *(Scenario(f"meet {name}", meet, True, victim=name, after=folders_are_whole) for name in Pair.parties),
             Scenario("keep", keep, True, meets=True, before=no_weights, after=weights_are_kept)]


# --- cases ---

def spread_of(cases):
    """Every failpoint that two alone pass, and some of the others."""
    chance = random.Random(SEED)
    chosen = spread([item for item in cases if item[0].point.startswith(SCOPE)], chance)
    for prefix in SHARED:
        chosen.append(chance.choice([item for item in cases if item[0].point.startswith(prefix) and item[0].action not in SILENT]))
    stops = [item for item in chosen if item[0].action == "stop"]
    return [item for item in chosen if item[0].action != "stop" or item is stops[0]]


def judge_keys(d, tally):
    """A key of masks that comes back would be a text that was used twice. Returns how many there were, and how often one came back."""
    count = repeats = 0
    for who in d.parties:
        own = d.orders[who].fingerprints()
        twice = [key for key, times in collections.Counter(own).items() if times > 1]
        count, repeats = count + len(own), repeats + len(twice)
        for key in twice:
            tally.complain(Case("keys", "", who, 0, ""), f"key {key.hex()} came back")
        if len(own) < FEWEST_KEYS:
            tally.complain(Case("keys", "", who, 0, ""), f"only {len(own)} were seen")
    return count, repeats


def main():
    program, root = sys.argv[1:3]
    everything = "--all" in sys.argv[3:]
    names = failpoints(program)
    tally = Tally()
    with Pair(program, root) as d:
        d.first_meeting()
        d.twin()
        recover(d, Case("first", "", "", 0, ""), tally)
        reached = census(d, SCENARIOS, names)
        cases = cases_of(names, reached, everything)
        if not everything:
            cases = spread_of(cases)
        started = time.monotonic()
        for case, places in cases:
            if not drive(d, case, places, TRIES, tally):
                tally.unreached.append(case)
                tally.complain(case, "was not reached")
        print(f"{len(cases)} cases in {time.monotonic() - started:.0f} s", file=sys.stderr)
        count, repeats = judge_keys(d, tally)
        d.stop()
        tally.unclean(d)
    for point in {name for name in names if name.startswith(SCOPE)} - {point for point, _ in reached}:
        tally.complain(Case("census", point, "", 0, ""), "no scenario passes it")
    print(HEAD, tally.row("two parties"), sep="\n")
    print(f"{len({point for point, _, _ in tally.fired})} failpoints of the {len({point for point, _ in reached})} that two parties pass failed; the latest error "
          f"came {tally.longest:.1f} s after its fault; {len(tally.unreached)} faults were not reached; {count} keys, {repeats} came back")
    return 1 if tally.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
