"""Failpoints before and after every file write: a program that dies there leaves the file as it should be, or none, and can be run again."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

from deployment import Orders

SECONDS = 60


class Output:
    """A command that writes, where, and how to see that what it wrote is whole."""

    def __init__(self, name, words, path, whole):
        self.name, self.words, self.path, self.whole = name, words, path, whole


def key_is_whole(path):
    with open(path, encoding="ascii") as file:
        text = file.read()
    return os.stat(path).st_mode & 0o777 == 0o600 and re.fullmatch(r"cachet key 1\npublic \S{40}\nsecret \S{40}\n", text) is not None


def plan_is_whole(path):
    with open(path, encoding="utf-8") as file:
        return isinstance(json.load(file), dict)


def set_is_whole(path):
    for role in ("p0", "p1", "p2", "client"):
        with open(os.path.join(path, role, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        if not plan_is_whole(os.path.join(path, role, "plan.json")):
            return False
        if role == "client":
            continue
        with open(os.path.join(path, role, "weights.bin"), "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest["weights_sha256"]:
                return False
    return plan_is_whole(os.path.join(path, "client", "tokenizer.json"))


def remove(path):
    for name in os.listdir(os.path.dirname(path)):
        whole = os.path.join(os.path.dirname(path), name)
        if name.startswith(os.path.basename(path)):
            shutil.rmtree(whole) if os.path.isdir(whole) else os.remove(whole)


def run(program, output, orders):
    """The exit code, and what the program said. None for the code when it hangs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CACHET_")}
    try:
        done = subprocess.run([program, *output.words], capture_output=True, text=True, timeout=SECONDS, env=dict(environment, CACHET_FAILPOINT="@" + orders.path))
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stderr


def drive(program, output, orders, case, tally):
    point, passage, action = case
    before = len(tally.complaints)
    remove(output.path)
    orders.give(f"{point}:{passage}:{action}")
    code, text = run(program, output, orders)
    fired = orders.fired()
    orders.withdraw()
    tally.driven += fired
    here = (output.name, *case)
    if fired:
        tally.fired.add((point, output.name, action))
    else:
        tally.unreached.append(here)
        tally.complain(here, "the fault has not happened")
    if code is None:
        tally.hangs += 1
        tally.complain(here, "hangs")
    elif action == "stop" and code != 0 or action == "term" and code not in (0, -signal.SIGTERM):
        tally.complain(here, f"ends with {code}: {text}")
    if os.path.exists(output.path) and not output.whole(output.path):
        tally.wrong += 1
        tally.complain(here, "what it wrote is not whole")
    run_again(program, output, orders, here, tally)
    tally.survived += fired and len(tally.complaints) == before


def run_again(program, output, orders, here, tally):
    """Works, or says in one line what is in the way; without that it works."""
    code, text = run(program, output, orders)
    if code == 0 and output.whole(output.path):
        return
    named = code == 4 and len(text.splitlines()) == 1 and output.path in text
    remove(output.path)
    code_after, text_after = run(program, output, orders)
    if not named or code_after != 0 or not output.whole(output.path):
        tally.complain(here, f"run again: {code}: {text}; without what was left: {code_after}: {text_after}")


def drive_all(program, root, names, everything, tally):
    """Returns the failpoints that failed."""
    model = os.path.join(root, "models/keeper")
    with tempfile.TemporaryDirectory(prefix="cachet-files.") as directory:
        at = lambda name: os.path.join(directory, name)  # noqa: E731
        orders = Orders(at("orders"))
        plan = Output("plan", ("plan", "--model", model, "--context", "16", "--out", at("plan.json")), at("plan.json"), plan_is_whole)
        share = Output("share", ("share", "--model", model, "--plan", at("kept.json"), "--out", at("set")), at("set"), set_is_whole)
        for output in (Output("keygen", ("keygen", "--out", at("p0.key")), at("p0.key"), key_is_whole), plan, share):
            before = orders.passed()
            code, text = run(program, output, orders)
            if code != 0 or not output.whole(output.path):
                tally.complain((output.name,), f"undisturbed it ends with {code}: {text}")
            if output is plan:
                shutil.copy(plan.path, at("kept.json"))
            after = orders.passed()
            for i, point in enumerate(names):
                passages = after[i] - before[i]
                if passages == 0:
                    continue
                for action in ("kill", "term", "stop") if everything or point == "net.key.written" else ("kill",):
                    for passage in range(1, passages + 1) if everything else [(passages + 1) // 2]:
                        drive(program, output, orders, (point, passage, action), tally)
    return {point for point, _, _ in tally.fired}
