"""Who may not come in: other mechanisms, a proxy that lowers the mechanism, frames of an old session played again, a second process with the
same key, more than a frame may hold, and a thousand half-open connections during an answer. All of it beside three real parties, who give the
twin's answer to the client that may. Unknown keys, wrong ids, oversized and half-open ones at a single socket: tests/net, tests/parties.

usage: access.py CACHET SOURCE_ROOT"""
import contextlib
import select
import socket
import subprocess
import sys
import threading
import time

from deployment import PARTIES, Deployment, until

FLOOD = 1000
HANDSHAKE_SECONDS = 5  # after which a party closes what is half open
# ZMTP 3.0: signature, version, mechanism, as-server, filler; then a READY command.
SIGNATURE = b"\xff\0\0\0\0\0\0\0\1\x7f"
GREETING = len(SIGNATURE) + 2 + 20 + 1 + 31
READY = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
HELLO_PLAIN = b"\x04\x0c\x05HELLO\x02me\x02me"


class Report:
    def __init__(self):
        self.cases = self.failures = 0

    def judge(self, name, complaint):
        self.cases += 1
        self.failures += bool(complaint)
        print(f"{'not ok' if complaint else 'ok'} {self.cases} - {name}" + (f"\n# {complaint}" if complaint else ""), flush=True)

    def end(self, d):
        """The last case, and the plan. Returns the exit code."""
        d.stop()
        self.judge("every party ends in order", " ".join(d.unclean))
        print(f"1..{self.cases}")
        return 1 if self.failures else 0


def greeting(mechanism):
    return SIGNATURE + b"\x03\0" + mechanism.ljust(20, b"\0") + b"\0" + bytes(31)


def read_until_closed(connection, seconds):
    """All that comes until the other end closes; None when it does not within so long."""
    got, deadline = b"", time.monotonic() + seconds
    while time.monotonic() < deadline:
        if select.select([connection], [], [], 0.1)[0]:
            try:
                piece = connection.recv(65536)
            except ConnectionError:
                return got
            if not piece:
                return got
            got += piece
    return None


def connect(port):
    """A party that has just parted from a client binds that port afresh: for a moment nobody listens."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def ports(d):
    """Every port that a party listens at: for clients, and for the parties before it."""
    return [(name, d.port + 3 * i + offset) for i, name in enumerate(PARTIES) for offset in range(i + 1)]


def answers(d):
    answer = d.ask()
    return "" if answer is not None and answer.code == 0 and answer.text == d.twin() else f"the next answer: {answer}, the twin's: {d.twin()!r}"


def other_mechanism(d, port, mechanism, command):
    """Nothing but a greeting that asks for CURVE comes back, and the connection ends."""
    with connect(port) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(greeting(mechanism) + command)
        got = read_until_closed(connection, HANDSHAKE_SECONDS + 5)
    if got is None:
        return f"port {port} keeps a connection of mechanism {mechanism.decode()}"
    if len(got) > GREETING or (len(got) > 12 and b"CURVE" not in got[12:32]):
        return f"port {port} answers mechanism {mechanism.decode()} with {got[:80]!r}"
    return ""


class Proxy:
    """Between a client and a port; `change` sees every piece, as (direction, bytes) -> bytes. Keeps what the client sent."""

    def __init__(self, port, change):
        self.port, self.change, self.sent, self.ended = port, change, [], False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.own_port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        connections = {}  # socket -> (other end, direction)
        while not self.ended:
            for ready in select.select([self.listener, *connections], [], [], 0.1)[0]:
                if ready is self.listener:
                    near, _ = self.listener.accept()
                    far = socket.create_connection(("127.0.0.1", self.port))
                    connections[near], connections[far] = (far, "to"), (near, "from")
                    self.sent.append(b"")
                    continue
                self.carry(ready, connections)
        for connection in connections:
            connection.close()

    def carry(self, ready, connections):
        other, direction = connections.get(ready, (None, None))
        if other is None:
            return
        try:
            piece = ready.recv(1 << 20)
        except ConnectionError:
            piece = b""
        if direction == "to":
            self.sent[-1] += piece
        with contextlib.suppress(OSError):
            if piece:
                other.sendall(self.change(direction, piece))
                return
        for end in (ready, other):
            connections.pop(end, None)
            end.close()

    def end(self):
        self.ended = True
        self.thread.join()
        self.listener.close()


def config_over(d, proxy, name):
    """The client's config with the proxy in the place of P0. It differs from the parties' then, so that HELLO would be the last thing said."""
    with open(d.path("config.yaml"), encoding="utf-8") as file:
        text = file.read().replace(f"127.0.0.1:{d.port}\"", f"127.0.0.1:{proxy.own_port}\"")
    with open(d.path(name), "w", encoding="utf-8") as file:
        file.write(text)


def ask_over(d, proxy, seconds=30):
    config_over(d, proxy, "proxied.yaml")
    words = [d.path("proxied.yaml") if word == d.path("config.yaml") else word for word in d.client_words()]
    started = time.monotonic()
    return d.end(d.begin_words(words), started, seconds)


def lowered(d, mechanism):
    """A proxy that makes both ends believe that the other wants less than CURVE."""
    def change(_, piece):
        return piece.replace(b"CURVE", mechanism.ljust(5, b"\0"))
    proxy = Proxy(d.port, change)
    try:
        answer = ask_over(d, proxy)
    finally:
        proxy.end()
    if answer is None or answer.code not in (9, 10) or "P0" not in answer.error or "config digest" in answer.error:
        return f"the client says {answer}"
    return ""


def replayed(d):
    """What a client has sent in a session, sent again as it was."""
    proxy = Proxy(d.port, lambda _, piece: piece)
    try:
        answer = ask_over(d, proxy)
    finally:
        proxy.end()
    if answer is None or answer.code != 9 or "config digest" not in answer.error:
        return f"through the proxy the client should come as far as HELLO: {answer}"
    recorded = max(proxy.sent, key=len)
    marks = d.marks()
    with connect(d.port) as connection:
        connection.sendall(recorded)
        got = read_until_closed(connection, HANDSHAKE_SECONDS + 5)
    if got is None:
        return "the connection stays"
    # A greeting and a WELCOME for a key that nobody holds any more: the INITIATE after it does not open.
    if len(got) > GREETING + 2 + 168 or "HELLO" in d.news("p0", marks["p0"]):
        return f"{len(got)} bytes come back, P0 says {d.news('p0', marks['p0'])!r}"
    return ""


def second_client(d):
    """Two processes with one key at once: one is told, the other gets its answer."""
    started = time.monotonic()
    first = d.begin("--ignore-eos", tokens=110)
    until(10, lambda: "begins:" in d.news("p0", 0))
    second = d.end(d.begin(), started)
    answer = d.end(first, started)
    if answer is None or answer.code != 0 or answer.text != d.twin("--ignore-eos", tokens=110):
        return f"the first client gets {answer}"
    # It may also have waited for its turn.
    if second is None or not ((second.code == 11 and "busy" in second.error) or (second.code == 0 and second.text == d.twin())):
        return f"the second client gets {second}"
    return ""


def second_party(d, name):
    """Another process with a party's key and shares: at another address, as its own is taken."""
    marks = d.marks()
    words = [d.program, "party", "--config", d.path("config.yaml"), "--key", d.path(f"{name}.key"), "--shares", d.path("set", name), "--bind", "127.0.0.2"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=d.environment)
    complaint = answers(d)
    try:
        error = process.communicate(timeout=2 * d.connect_seconds + 10)[1].decode()
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "it stays"
    if process.returncode not in (9, 10, 11) or not any(other.upper() in error for other in PARTIES if other != name):
        complaint += f" it ends with {process.returncode}: {error[-400:]}"
    for other in PARTIES:
        if "connecting again" in d.news(other, marks[other]):
            complaint += f" {other} has lost its links: {d.news(other, marks[other])[-400:]}"
    return complaint + answers(d)


def flood(d):
    """Half-open connections at every port of every party, half of which say something, while an answer is under way."""
    marks, open_ones = d.marks(), []
    started = time.monotonic()
    process = d.begin("--ignore-eos", tokens=110)
    until(10, lambda: "begins:" in d.news("p0", marks["p0"]))
    places = ports(d)
    try:
        for i in range(FLOOD):
            connection = connect(places[i % len(places)][1])
            open_ones.append(connection)
            if i % 2:
                with contextlib.suppress(OSError):
                    connection.sendall(greeting(b"CURVE"))
        answer = d.end(process, started)
        complaint = "" if answer is not None and answer.code == 0 and answer.text == d.twin("--ignore-eos", tokens=110) else f"the client gets {answer}"
        if not all(d.alive(name) for name in PARTIES):
            complaint += " a party has ended"
        kept = sum(read_until_closed(connection, 2 * HANDSHAKE_SECONDS) is None for connection in open_ones[-1:])
        if kept:
            complaint += " the last connection is still open"
    finally:
        for connection in open_ones:
            connection.close()
    return complaint + answers(d)


def main():
    program, root = sys.argv[1:3]
    report = Report()
    with Deployment(program, root) as d:
        d.first_meeting()
        report.judge("the client that may gets the twin's answer", answers(d))
        for mechanism, command in ((b"NULL", READY), (b"PLAIN", HELLO_PLAIN)):
            report.judge(f"mechanism {mechanism.decode()} at every port", " ".join(filter(None, (other_mechanism(d, port, mechanism, command) for _, port in ports(d)))))
            report.judge(f"a proxy that lowers CURVE to {mechanism.decode()}", lowered(d, mechanism) + answers(d))
        report.judge("frames of an old session again", replayed(d) + answers(d))
        report.judge("two clients with one key", second_client(d) + answers(d))
        for name in PARTIES:
            report.judge(f"a second process with the key of {name.upper()}", second_party(d, name))
        report.judge(f"{FLOOD} half-open connections during an answer", flood(d))
        return report.end(d)


if __name__ == "__main__":
    sys.exit(main())
