"""Parties on an accelerator as processes: cachet-emulated, whose cuda:0 is the emulated device of tests/kernels. P0, P1 and P2 in turn and all of them on it give
the tokens of the model in the clear; a call of CUDA that fails ends the request by name, or, where the CPU may stand in, nobody notices: never another
token. And what the program itself says where there is no device. TAP.

usage: test_device.py CACHET CACHET_EMULATED SOURCE_ROOT"""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(sys.argv[3], "tests", "faults"))
from deployment import Deployment, PARTIES, until  # noqa: E402

CACHET, EMULATED, ROOT = sys.argv[1:4]
TOKENS, PROMPT = 3, "a b"
# Calls of CUDA after the device was opened: while matrices are placed, in the prompt, in later steps.
FAULTS = {"p0": (400,), "p1": (2, 700, 2500), "p2": (1500,)}
number, bad = 0, 0


def check(name, complaint):
    global number, bad
    number += 1
    bad += bool(complaint)
    print(f"{'not ok' if complaint else 'ok'} {number} - {name}", flush=True)
    for line in str(complaint or "").splitlines():
        print("# " + line, flush=True)


class OnDevice(Deployment):
    """Its parties take further environment variables, by name."""

    def __init__(self):
        super().__init__(EMULATED, ROOT, step_seconds=60, connect_seconds=60)
        self.model = os.path.join(ROOT, "tests/support/transformers/qwen2")
        self.more = {}

    def with_orders(self, name):
        return dict(super().with_orders(name), **self.more.get(name, {}))

    def start_missing(self):
        """Nobody starts a party again here."""

    def run_with(self, more):
        """One request of parties with these variables: the answer and what each party has logged."""
        self.more = more
        marks = self.marks()
        self.start(*PARTIES)
        until(120, lambda: not all(map(self.alive, PARTIES)) or all("ready: connected" in self.news(name, marks[name]) for name in PARTIES))
        answer = self.ask(tokens=TOKENS, prompt=PROMPT) if all(map(self.alive, PARTIES)) else None
        if answer is None or answer.code != 0:
            for name in more:
                self.wait_end(name, 10)
        codes = {name: self.process[name].poll() for name in PARTIES}
        self.stop()
        return answer, codes, {name: self.news(name, marks[name]) for name in PARTIES}

    def wait_end(self, name, seconds):
        try:
            self.process[name].wait(seconds)
        except subprocess.TimeoutExpired:
            pass


def right(answer, deployment):
    if answer is None:
        return "no answer"
    if answer.code != 0 or answer.text != deployment.twin(tokens=TOKENS, prompt=PROMPT):
        return f"{answer!r}, the clear says {deployment.twin(tokens=TOKENS, prompt=PROMPT)!r}"
    return ""


def device_of(fault=None, fallback=False, mib=None):
    more = {"CACHET_DEVICE": "cuda:0"}
    if fault is not None:
        more["EMULATED_FAULT"] = str(fault)
    if mib is not None:
        more["EMULATED_MIB"] = str(mib)
    if fallback:
        more["CACHET_DEVICE_FALLBACK"] = "1"
    return more


def on_device(deployment):
    for parties in (("p0",), ("p1",), ("p2",), PARTIES):
        answer, _, logs = deployment.run_with({name: device_of() for name in parties})
        complaint = right(answer, deployment)
        for name in parties:
            if not re.search(r"on the device: \d+ MiB of weights with their limbs, \d+ MiB for caches", logs[name]) or "takes multiplications" not in logs[name]:
                complaint += f"\n{name} does not say what it works on: {logs[name][-300:]}"
        check(f"the tokens of the clear with {' and '.join(parties)} on the device", complaint)


def faults(deployment):
    for name, calls in FAULTS.items():
        for call in calls:
            answer, codes, logs = deployment.run_with({name: device_of(fault=call)})
            complaint = ""
            if answer is not None and answer.code == 0:
                complaint = "the client has an answer"
            elif codes[name] != 4 or not re.search(r"device: what it worked on is not used: CUDA device 0: \w+ failed", logs[name]):
                complaint = f"{name} ends with {codes[name]}: {logs[name][-400:]}"
            elif call > 100 and "CUDA device 0" not in answer.error:
                complaint = f"the client does not hear why: {answer!r}"
            check(f"call {call} of CUDA fails at {name}: no answer, and it says why and ends", complaint)
            answer, codes, logs = deployment.run_with({name: device_of(fault=call, fallback=True)})
            complaint = right(answer, deployment)
            if logs[name].count("from here on the CPU does its work") != 1:
                complaint += f"\n{name} does not say so once: {logs[name][-400:]}"
            check(f"call {call} of CUDA fails at {name}, the CPU stands in: the tokens of the clear", complaint)


def memory(deployment):
    answer, codes, logs = deployment.run_with({"p1": device_of(mib=65, fallback=True)})
    complaint = right(answer, deployment)
    if not re.search(r"the CPU does the work: device: weights take \d+ MiB of its memory .* \d+ MiB are missing", logs["p1"]):
        complaint += f"\np1 does not say what is missing: {logs['p1'][-400:]}"
    check("a device whose memory is short, and the CPU instead", complaint)
    refused("a device whose memory is short", deployment, EMULATED, "cuda:0", 3, "MiB are missing", EMULATED_MIB="65")


def refused(name, deployment, program, device, code, words, **more):
    started = time.monotonic()
    done = subprocess.run([program, "party", "--config", deployment.path("config.yaml"), "--key", deployment.path("p1.key"), "--shares",
                           deployment.path("set", "p1"), "--device", device], capture_output=True, text=True, timeout=60,
                          env=dict(deployment.environment, **more), check=False)
    complaint = ""
    if done.returncode != code or not re.search(words, done.stderr) or done.stderr.count("error (") != 1:
        complaint = f"exit code {done.returncode}, expected {code}, after {time.monotonic() - started:.1f} s: {done.stderr}"
    check(name, complaint)


with OnDevice() as d:
    on_device(d)
    faults(d)
    memory(d)
    refused("the program itself without CUDA, a driver or a GPU", d, CACHET, "cuda:0", 6, "this build has no CUDA|install NVIDIA's driver")
    refused("a name that is no device", d, CACHET, "gpu", 2, "say cuda:0")
print(f"1..{number}")
sys.exit(bad != 0)
