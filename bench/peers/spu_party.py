"""One SPU party as a process of its own: `spu_party.py FD`, FD a socket to the parent. Started by spu_session.py.

The parent sends pairs (what, argument); every answer is a pair ("ok", value) or ("error", text).
"""

import sys
import time
from multiprocessing.connection import Connection

from spu import api, libspu

# As SPU's own node daemon does: waits long enough for any link, payloads of up to 32 MiB.
WAIT_MS = 600 * 1000
PAYLOAD_BYTES = 32 * 1024 * 1024


def open_link(rank, addresses):
    """addresses: this party's own at [rank], where it listens; at the others where it dials them."""
    desc = libspu.link.Desc()
    desc.recv_timeout_ms = WAIT_MS
    desc.http_timeout_ms = WAIT_MS
    desc.http_max_payload_size = PAYLOAD_BYTES
    for party, address in enumerate(addresses):
        desc.add_party(f"party{party}", address)
    return libspu.link.create_brpc(desc, rank)


def peak_bytes():
    """The peak of this process image alone: getrusage would count the parent's before exec."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


class Party:
    def __init__(self):
        self.link = self.runtime = self.program = None

    def start(self, argument):
        rank, addresses, settings = argument
        config = libspu.RuntimeConfig()
        if not config.ParseFromJsonString(settings):
            raise ValueError(f"SPU does not take these settings: {settings}")
        self.link = open_link(rank, addresses)
        self.runtime = api.Runtime(self.link, config)

    def share(self, argument, pipe):
        """A share comes in pieces, so that no second copy of a large one is made."""
        name, meta, pieces = argument
        share = libspu.Share()
        share.meta = meta
        share.share_chunks = [pipe.recv_bytes() for _ in range(pieces)]
        self.runtime.set_var(name, share)

    def load(self, argument):
        name, inputs, outputs, code = argument
        self.program = libspu.Executable(name=name, input_names=inputs, output_names=outputs, code=code)

    def run(self, _):
        begin = time.monotonic()
        self.runtime.run(self.program)
        return begin, time.monotonic()

    def output(self, name):
        share = self.runtime.get_var(name)
        return share.meta, list(share.share_chunks)

    def peak(self, _):
        return peak_bytes()

    def stop(self, _):
        self.link.stop_link()


def main():
    pipe = Connection(int(sys.argv[1]))
    party = Party()
    while True:
        try:
            what, argument = pipe.recv()
        except EOFError:
            return
        try:
            value = party.share(argument, pipe) if what == "share" else getattr(party, what)(argument)
            pipe.send(("ok", value))
        except Exception as error:  # pylint: disable=broad-except
            pipe.send(("error", f"{what}: {error}"))
        if what == "stop":
            return


if __name__ == "__main__":
    main()
