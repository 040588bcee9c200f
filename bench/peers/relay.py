"""`cachet relay` as a child process: every byte that parties exchange goes through it and is counted there."""

import json
import signal
import socket
import subprocess


def free_addresses(count):
    """Addresses of this machine that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Relay:
    """Party i listens on listens[i] and dials party j at dials(i)[j]: one map of the relay for each ordered pair."""

    def __init__(self, cachet, link, parties=3):
        self.pairs = [(i, j) for i in range(parties) for j in range(parties) if i != j]
        addresses = free_addresses(parties + len(self.pairs))
        self.listens = addresses[:parties]
        self.entries = dict(zip(self.pairs, addresses[parties:]))
        maps = ",".join(f"{self.entries[i, j]}={self.listens[j]}" for i, j in self.pairs)
        self.process = subprocess.Popen(
            [cachet, "relay", "--link", link, "--map", maps, "--json", "--until-eof"],
            stdin=subprocess.PIPE,  # held open: the relay ends with this process, however that ends
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline().strip()
        if line != "ready":
            self.kill()
            raise RuntimeError(f"{cachet} relay --link {link}: not ready, it said \"{line}\"")

    def dials(self, party):
        return [self.listens[j] if j == party else self.entries[party, j] for j in range(len(self.listens))]

    def finish(self):
        """Ends the relay. Returns the bytes that each party sent."""
        self.process.send_signal(signal.SIGTERM)
        text, _ = self.process.communicate(timeout=60)
        if self.process.returncode != 0:
            raise RuntimeError(f"cachet relay ended with {self.process.returncode}")
        sent = [0] * len(self.listens)
        for (i, j), counted in zip(self.pairs, json.loads(text)["maps"], strict=True):
            sent[i] += counted["bytes"][0]
            sent[j] += counted["bytes"][1]
        return sent

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
