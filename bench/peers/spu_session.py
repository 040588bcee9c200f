"""Runs one piece of work on three SPU processes behind a relay, and measures it.

A piece is a JAX function and its inputs, all of them secret-shared. `measure` gives one row of figures.
"""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Callable

import jax
import numpy as np
import spu.utils.frontend as frontend
from relay import Relay
from spu import __version__, api, libspu

PARTIES = 3
SHARE_BYTES = 16  # of one secret value at one party: two of three 64-bit shares
HERE = os.path.dirname(os.path.abspath(__file__))

# fxp_exp_mode: 1 is the Pade approximation (MPCache), 2 the Taylor limit with 5 squarings (the LLaMA example, PUMA).
EXP_MODES = {"pade": {"fxp_exp_mode": 1}, "taylor": {"fxp_exp_mode": 2, "fxp_exp_iters": 5}}

LINK_LINE = re.compile(r"Link details: total send bytes (\d+), recv bytes (\d+), send actions (\d+), recv actions (\d+)")


@dataclass
class Piece:
    name: str
    function: Callable
    inputs: Callable  # () -> arrays: made anew when needed, so that they need not be kept
    settings: dict = field(default_factory=dict)  # of the SPU runtime
    divide_rows: bool = True  # one reciprocal for what is divided by the same value, as SPU's examples of language models set it
    ordered: bool = True  # whether the order within a row of the output counts


@dataclass
class Session:
    seconds: list  # of each run
    sent: list  # bytes on the wire of each party, links set up and runs
    peaks: list  # bytes of memory of each process
    outputs: list
    profiles: list  # of each party: (bytes sent, bytes received, messages sent, messages received) in the first run


def runtime_settings(settings):
    return {"protocol": "ABY3", "field": "FM64", **settings}


def compile_piece(piece, inputs):
    names = [f"in{i}" for i in range(len(inputs))]
    options = libspu.CompilerOptions()
    options.enable_optimize_denominator_with_broadcast = piece.divide_rows
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs]
    program, _ = frontend.compile(
        frontend.Kind.JAX,
        piece.function,
        shapes,
        {},
        names,
        [libspu.Visibility.VIS_SECRET] * len(inputs),
        lambda flat: [f"out{i}" for i in range(len(flat))],
        copts=options,
    )
    return program


class Parties:
    """Three processes of spu_party.py and pipes to them."""

    def __init__(self, relay, settings, folder):
        self.pipes, self.processes = [], []
        self.logs = [os.path.join(folder, f"party{rank}.log") for rank in range(PARTIES)]
        try:
            for rank in range(PARTIES):
                self._spawn(rank, folder)
            self.ask("start", [(rank, relay.dials(rank), json.dumps(settings)) for rank in range(PARTIES)])
        except BaseException:
            self.kill()
            raise

    def _spawn(self, rank, folder):
        ours, theirs = socket.socketpair()
        with open(self.logs[rank], "wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, os.path.join(HERE, "spu_party.py"), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                )
            )
        theirs.close()
        self.pipes.append(Connection(ours.detach()))

    def answers(self, what):
        values = []
        for rank, pipe in enumerate(self.pipes):
            try:
                state, value = pipe.recv()
            except EOFError:
                state, value = "error", f"{what}: its process ended"
            if state != "ok":
                with open(self.logs[rank], encoding="utf-8", errors="replace") as log:
                    raise RuntimeError(f"SPU party {rank}: {value}\n{log.read()[-2000:]}")
            values.append(value)
        return values

    def ask(self, what, arguments=None):
        """The same request to all of them at once; returns their answers."""
        for rank, pipe in enumerate(self.pipes):
            pipe.send((what, arguments[rank] if arguments else None))
        return self.answers(what)

    def share(self, io, name, array):
        shares = io.make_shares(array, libspu.Visibility.VIS_SECRET)
        for pipe in self.pipes:
            share = shares.pop(0)
            pieces = list(share.share_chunks)
            pipe.send(("share", (name, share.meta, len(pieces))))
            for piece in pieces:
                pipe.send_bytes(piece)
        self.answers("share")

    def run(self):
        spans = self.ask("run")
        return max(end for _, end in spans) - min(begin for begin, _ in spans)

    def reconstruct(self, io, name):
        shares = []
        for meta, pieces in self.ask("output", [name] * PARTIES):
            share = libspu.Share()
            share.meta, share.share_chunks = meta, pieces
            shares.append(share)
        return io.reconstruct(shares)

    def profiles(self):
        found = []
        for path in self.logs:
            with open(path, encoding="utf-8", errors="replace") as log:
                match = LINK_LINE.search(log.read())
            found.append(tuple(map(int, match.groups())) if match else None)
        return found

    def stop(self):
        self.ask("stop")
        for process in self.processes:
            process.wait(timeout=60)

    def kill(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def run_session(piece, program, options, link, runs, profiled=False):
    """Starts everything, shares the inputs, runs `runs` times and ends everything."""
    settings = runtime_settings(piece.settings)
    config = libspu.RuntimeConfig()
    if not config.ParseFromJsonString(json.dumps(settings)):
        raise ValueError(f"SPU does not take these settings: {settings}")
    io = api.Io(PARTIES, config)
    parties = None
    relay = Relay(options.cachet, link)
    with tempfile.TemporaryDirectory() as folder:
        try:
            parties = Parties(relay, {**settings, "enable_pphlo_profile": profiled}, folder)
            inputs = piece.inputs()
            for name in program.input_names:
                parties.share(io, name, inputs.pop(0))
            parties.ask("load", [(program.name, program.input_names, program.output_names, program.code)] * PARTIES)
            seconds = [parties.run() for _ in range(runs)]
            outputs = [parties.reconstruct(io, name) for name in program.output_names]
            peaks = parties.ask("peak")
            parties.stop()
            return Session(seconds, relay.finish(), peaks, outputs, parties.profiles())
        finally:
            if parties:
                parties.kill()
            relay.kill()


def reference(piece, inputs):
    """The same function in float32 in the clear."""
    values = jax.jit(piece.function)(*inputs)
    return [np.asarray(v) for v in jax.tree_util.tree_leaves(values)]


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as info:
        for line in info:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def needed_bytes(inputs):
    """An estimate for all processes: shares at three parties, inputs, and what sharing or multiplying the largest one takes for a time."""
    sizes = [x.size for x in inputs]
    return (PARTIES * SHARE_BYTES + 4) * sum(sizes) + 72 * max(sizes)


def measure(piece, options, link):
    """Runs a piece and gives its figures.

    Two sets of processes: one runs once, one runs 1 + repeats times. The difference of their bytes over `repeats` is one run's:
    what setting up the links and the first run cost falls out. Seconds are those of the second set, without its first run.
    SPU draws anew in each run which party takes which role of some steps. The sum of bytes does not depend on that, a party's part does:
    it is given as the mean of the second set. What does not fit into memory gives a row that says so.
    """
    inputs = piece.inputs()
    needed, available = needed_bytes(inputs), available_bytes()
    if needed > available:
        return {"missing": f"needs about {needed / 1e9:.0f} GB of memory, {available / 1e9:.0f} GB are free"}
    begin = time.monotonic()
    program = compile_piece(piece, inputs)
    compile_seconds = time.monotonic() - begin
    expected = reference(piece, inputs)
    del inputs
    once = run_session(piece, program, options, link, 1, profiled=True)
    many = run_session(piece, program, options, link, 1 + options.repeats)
    total = (sum(many.sent) - sum(once.sent)) / options.repeats
    sent = [round(total * b / sum(many.sent)) for b in many.sent]
    outputs = many.outputs
    if not piece.ordered:
        expected, outputs = ([np.sort(v, axis=-1) for v in values] for values in (expected, outputs))
    errors = [float(np.max(np.abs(a - b))) for a, b in zip(expected, outputs)]
    repeats = many.seconds[1:]
    figures = {
        "seconds": [round(s, 4) for s in repeats],
        "median_seconds": round(statistics.median(repeats), 4),
        "first_seconds": round(compile_seconds + many.seconds[0], 3),
        "bytes": sum(sent),
        "bytes_sent": sent,
        "peak_rss_bytes": many.peaks,
        "max_error": max(errors),
    }
    if all(once.profiles):
        figures["payload_bytes_sent"] = [p[0] for p in once.profiles]
        figures["rounds"] = max(p[3] for p in once.profiles)
        figures["rounds_by"] = "messages that the party with the most receives in one run, by SPU's profile"
    if options.slope:
        figures["rounds_by_slope"] = slope(piece, program, options)
    return figures


def slope(piece, program, options):
    """Hops one after the other: what a run takes longer when the round-trip time doubles, over half of what was added. No other limit.

    Both links wait, so that processes that share this machine's cores are in each other's way as little in one as in the other.
    """
    trips = (options.slope, 2 * options.slope)
    times = [run_session(piece, program, options, f"rtt={trip:g}", 3).seconds for trip in trips]
    near, far = (statistics.median(t[1:]) for t in times)
    return round((far - near) / (options.slope / 2000))


def commit():
    done = subprocess.run(["git", "-C", HERE, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def row_head(piece, options, link):
    return {
        "peer": "spu",
        "version": __version__,
        "commit": commit(),
        "settings": runtime_settings(piece.settings),
        "compiler": {"enable_optimize_denominator_with_broadcast": piece.divide_rows},
        "link": link,
        "repeats": options.repeats,
    }
