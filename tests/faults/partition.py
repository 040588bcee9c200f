"""Networks that fail where processes do not: P2 is reached over a relay that holds bytes back, in one direction or both, in the middle of an answer and while
nothing is asked, for longer than the deadline or in short turns. The error comes by its deadline and names an end of that link, every party lives, what
was held arrives late and harms nobody, and the next answer is the twin's. TAP.

usage: partition.py CACHET_FAILPOINTS SOURCE_ROOT"""
import contextlib
import socket
import sys
import threading
import time

from access import Report
from deployment import Deployment
from faults import LONG, wait_for_words
from judge import NAMED_CODES, SLACK_SECONDS, Case, Scenario, Tally, errors_in, judge_living, names_any, recover

# The config has the relay's address; the party listens at its own.
RELAY, BEHIND = "127.0.0.2", "127.0.0.3"
PIECE = 1 << 16
FLAPS, FLAP_SECONDS = 12, 0.25
SILENCE = Scenario("silence", None, False, meets=True)


class Gate:
    """One port of P2 behind the relay. Closed in a direction, it takes nothing more and gives nothing: neither end hears of it."""

    def __init__(self, port):
        self.port, self.sockets = port, []
        self.open = {"to": threading.Event(), "from": threading.Event()}
        self.release()
        self.listener = socket.create_server((RELAY, port))
        threading.Thread(target=self.accept, daemon=True).start()

    def hold(self, *directions):
        for direction in directions:
            self.open[direction].clear()

    def release(self):
        for way in self.open.values():
            way.set()

    def accept(self):
        with contextlib.suppress(OSError):  # the end
            while True:
                near, _ = self.listener.accept()
                try:
                    far = socket.create_connection((BEHIND, self.port))
                except ConnectionError:
                    near.close()
                    continue
                self.sockets += [near, far]
                for source, sink, direction in ((near, far, "to"), (far, near, "from")):
                    threading.Thread(target=self.pump, args=(source, sink, self.open[direction]), daemon=True).start()

    def pump(self, source, sink, way):
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                way.wait()
                sink.sendall(piece)
        way.wait()  # an end does not pass either
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.release()
        for each in (self.listener, *self.sockets):
            with contextlib.suppress(OSError):
                each.close()


class Relayed(Deployment):
    hosts = {"p2": RELAY}

    def __enter__(self):
        self.set_up()
        self.gates = {"P0": Gate(self.port + 7), "P1": Gate(self.port + 8), "client": Gate(self.port + 6)}
        return self

    def __exit__(self, *of):
        super().__exit__(*of)
        for gate in self.gates.values():
            gate.close()

    def party_words(self, name):
        return [*super().party_words(name), *(("--bind", BEHIND) if name == "p2" else ())]

    def release(self):
        for gate in self.gates.values():
            gate.release()


def judge(d, case, answer, names, seconds, marks, tally):
    """An answer while a link is silent: the deadline is `seconds`. Whoever waits for one that waits in vain may see that one silent first: somebody tells."""
    if answer is None:
        tally.complain(case, "the client hangs")
    elif answer.code == 0:
        tally.complain(case, "the request is answered: nothing was held back")
    else:
        d.until(d.step_seconds + SLACK_SECONDS, lambda: any(errors_in(d.news(name, marks[name])) for name in d.parties))
        words = [answer.error, *(line for name in d.parties for line in errors_in(d.news(name, marks[name])))]
        if answer.code not in NAMED_CODES or not any(names_any(line, names) for line in words):
            tally.complain(case, f"nobody names {' or '.join(names)}: {answer}: {' | '.join(words)[-900:]}")
        if answer.after > seconds + SLACK_SECONDS:
            tally.complain(case, f"the error comes {answer.after:.1f} s after the silence began, {seconds + SLACK_SECONDS:.1f} s are allowed: {answer}")
    d.release()
    recover(d, case, tally)
    judge_living(d, case._replace(point="net.open"), SILENCE, tally)  # who does not meet its peer again in time ends, and is started again


def held(d, peer, directions, attended):
    """A link of P2 falls silent: in the middle of an answer, or before one is asked for."""
    def run(tally):
        case = Case("attended" if attended else "idle", f"{peer} and P2", "", 0, "/".join(directions))
        d.exits.clear()
        marks = d.marks()
        d.order("alice", "")
        started = time.monotonic()
        process = d.begin("--ignore-eos", tokens=LONG) if attended else None
        if attended:
            wait_for_words(process, d)
        d.gates[peer].hold(*directions)
        d.fired_at = time.monotonic()
        if not attended:
            time.sleep(d.step_seconds)  # nobody is to notice, or to be harmed where one does
            process = d.begin()
            started = d.fired_at = time.monotonic()
        answer = d.end(process, started)
        d.withdraw()
        # A client that meets the parties while they are looking for each other waits for them first.
        names = ("P2", "alice", "client") if peer == "client" else (peer, "P2")
        judge(d, case, answer, names, d.step_seconds + (0 if attended else d.connect_seconds), marks, tally)
    return run


def flapping(d):
    def run(tally):
        case = Case("flapping", "P1 and P2", "", 0, "to/from")
        started = time.monotonic()
        process = d.begin("--ignore-eos", tokens=LONG)
        wait_for_words(process, d)
        for turn in range(FLAPS):
            d.gates["P1"].hold(*(("to",), ("from",), ("to", "from"))[turn % 3])
            time.sleep(FLAP_SECONDS)
            d.release()
            time.sleep(FLAP_SECONDS / 4)
        answer = d.end(process, started)
        whole = d.twin("--ignore-eos", tokens=LONG)
        if answer is None or answer.code != 0 or not whole.endswith(answer.text) or 2 * len(answer.text) < len(whole):  # its first words have been read
            tally.complain(case, f"pauses that are shorter than the deadline spoil the answer: {answer}")
        recover(d, case, tally)
    return run


def main():
    program, root = sys.argv[1:3]
    report = Report()
    with Relayed(program, root) as d:
        d.first_meeting()
        cases = [("short silences, again and again", flapping(d))]
        for attended in (True, False):
            when = "in the middle of an answer" if attended else "before a request"
            cases += [(f"no word from P1 to P2 {when}", held(d, "P1", ("to",), attended)), (f"no word from P2 to P1 {when}", held(d, "P1", ("from",), attended)),
                      (f"no word between P0 and P2 {when}", held(d, "P0", ("to", "from"), attended)),
                      (f"no word between the client and P2 {when}", held(d, "client", ("to", "from"), attended))]
        for name, run in cases:
            tally = Tally()
            run(tally)
            report.judge(name, " ".join(tally.complaints))
        return report.end(d)


if __name__ == "__main__":
    sys.exit(main())
