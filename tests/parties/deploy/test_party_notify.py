"""What a service manager hears from a party, over a real socket: ready once it is connected, alive while it waits and while it
serves, waiting when another party is lost, ready again when that one is back, stopping.

usage: test_party_notify.py CACHET SOURCE_ROOT
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 60  # seconds; what never comes is found all the same
WATCHDOG_USEC = 200_000


class Party:
    def __init__(self, program, folder, name, **environment):
        self.log = open(os.path.join(folder, name + ".test.log"), "ab")
        self.process = subprocess.Popen(
            [program, "party", "--config", f"{folder}/config.yaml", "--key", f"{folder}/{name}.key", "--shares", f"{folder}/set/{name}"],
            stderr=self.log, env=dict(os.environ, **environment))

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.log.close()
        return code


class Manager:
    """The socket that NOTIFY_SOCKET names, and what came in."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0.5)

    def hear(self, word):
        """Drops words until one is exactly this; returns how many said "alive" before it."""
        alive, heard = 0, []
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                text = self.socket.recv(4096).decode()
            except TimeoutError:
                continue
            if text == word:
                return alive
            alive += text == "WATCHDOG=1"
            heard.append(text)
        raise AssertionError(f"never heard {word!r}, but {heard[-10:]}")


def test(program, source, folder):
    subprocess.run([program, "up", "--model", f"{source}/models/keeper", "--prompt", "One day", "--max-tokens", "8", "--keep", f"{folder}/up"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    folder += "/up"
    manager = Manager(folder)
    parties = {}
    try:
        parties["p1"] = Party(program, folder, "p1", NOTIFY_SOCKET=manager.path, WATCHDOG_USEC=str(WATCHDOG_USEC))
        manager.hear("STATUS=waiting for the other parties")
        manager.hear("WATCHDOG=1")
        for name in ("p0", "p2"):
            parties[name] = Party(program, folder, name)
        manager.hear("READY=1\nSTATUS=P1, ready for requests")
        for _ in range(3):
            manager.hear("WATCHDOG=1")

        subprocess.run([program, "generate", "--config", f"{folder}/config.yaml", "--key", f"{folder}/client.key", "--shares",
                        f"{folder}/set/client", "--prompt", "One day", "--max-tokens", "8"],
                       check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)

        assert parties.pop("p2").end(signal.SIGKILL) == -signal.SIGKILL
        manager.hear("STATUS=waiting for the other parties")
        manager.hear("WATCHDOG=1")
        parties["p2"] = Party(program, folder, "p2")
        manager.hear("READY=1\nSTATUS=P1, ready for requests")

        assert parties.pop("p1").end() == 0
        manager.hear("STOPPING=1\nSTATUS=ending")
    finally:
        for party in parties.values():
            party.end(signal.SIGKILL)


if __name__ == "__main__":
    os.environ.pop("NOTIFY_SOCKET", None)
    with tempfile.TemporaryDirectory(prefix="cachet-notify.") as temporary:
        test(sys.argv[1], sys.argv[2], temporary)
    print("heard everything in order")
