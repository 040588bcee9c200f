"""`cachet eval` and `cachet cost --recommend` as people run them: the table, the file that is continued, the picture, and which policy is picked.

usage: test_eval_commands.py CACHET SOURCE_ROOT
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

cachet, root = sys.argv[1:3]
failures = []
place = tempfile.mkdtemp()
plan = f"{place}/plan.json"


def run(*arguments, **more):
    return subprocess.run([cachet, *arguments], capture_output=True, text=True, timeout=300, **more)


def check(condition, text):
    if not condition:
        failures.append(text)


def evaluate(*arguments, **more):
    return run("eval", "--model", f"{root}/models/keeper", "--plan", plan, "--context", "96", "--scored", "8", *arguments, **more)


def rows_of(answer):
    return {(r["task"], r["policy"], r["budget_percent"]): r for r in json.loads(answer.stdout)["rows"]}


def table():
    answer = evaluate("--task", "passkey,ppl", "--policy", "window,window", "--budget", "50", "--prompts", "2")
    check(answer.returncode == 0, answer)
    lines = answer.stdout.splitlines()
    check("passkey, 96 tokens, 2 prompts" in lines and "ppl, 96 tokens, 2 prompts, 8 steps each" in lines, lines)
    right = r"%s +%s %% +[\d.]+ %% +[\d.]+ to +[\d.]+ +\d+ +[\d.]+"
    running = r"%s +%s %% +[\d.]+ +[\d.]+ +[\d.]+ %% +[\d.]+ to +[\d.]+ +\d+ +[\d.]+"
    for form in right, running:
        for name in ("full", 100), ("window", 50):
            check(sum(re.fullmatch(form % name, line) is not None for line in lines) == 1, f"no line {form % name} in {lines}")


def figures():
    """The full cache agrees with itself; equal seeds give equal figures for any number of threads, other seeds others."""
    flags = "--task", "ppl", "--policy", "window", "--budget", "50", "--prompts", "3", "--json"
    one, two, other = (rows_of(evaluate(*flags, *more)) for more in (("--threads", "1"), ("--threads", "3"), ("--seed", "2")))
    full, window = one["ppl", "full", None], one["ppl", "window", 50]
    check(full["agreement"] == 100 and full["kl_nats"] == 0 and full["steps"] == 24 and full["void"] == 0, full)
    check(5 < full["perplexity"] < 300, full)
    check(window["kl_nats"] > 0 and window["agreement_low"] < window["agreement"] <= window["agreement_high"], window)
    check(one == two, f"threads change figures: {one} {two}")
    check(other["ppl", "full", None]["perplexity"] != full["perplexity"], "seeds change nothing")


def continued():
    """What the file holds is not computed again, and what it holds of another run is refused."""
    path = f"{place}/out.json"
    flags = "--task", "passkey", "--prompts", "2", "--out", path
    first = evaluate(*flags, "--policy", "full", "--json")
    check(first.returncode == 0 and json.load(open(path)) == json.loads(first.stdout), first)
    forged = json.load(open(path))
    forged["rows"][0].update(hits=1, bytes_per_token=12345)
    json.dump(forged, open(path, "w"))
    second = evaluate(*flags, "--policy", "window", "--budget", "50", "--json")
    rows = rows_of(second)
    check(len(rows) == 2 and rows["passkey", "full", None]["bytes_per_token"] == 12345 and rows["passkey", "full", None]["right"] == 50, second)
    check(json.load(open(path)) == json.loads(second.stdout), "the file is not what was printed")
    check(os.listdir(place).count("out.json") == 1 and not any(name.endswith(".tmp") for name in os.listdir(place)), os.listdir(place))
    for more, words in (("--seed", "3"), "seed is 1"), (("--prompts", "4"), "prompts is 2"), (("--text", f"{root}/models/keeper/calibration.txt"), "text is"):
        refused = evaluate(*flags, "--policy", "full", *more)
        check(refused.returncode == 9 and words in refused.stderr and len(refused.stderr.splitlines()) == 1, refused)
    json.dump([], open(path, "w"))
    check(evaluate(*flags, "--policy", "full").returncode == 5, "a file that is no evaluation is not refused")


def picture():
    path = f"{place}/a 'b'.svg"
    flags = "--task", "passkey", "--policy", "full", "--prompts", "1", "--plot", path
    bare = evaluate(*flags, env={"PATH": place})
    check(bare.returncode == 6 and "gnuplot-nox" in bare.stderr and os.path.exists(path[:-4] + ".gp"), bare)
    if shutil.which("gnuplot"):
        drawn = evaluate(*flags)
        check(drawn.returncode == 0 and "passkey, 96 tokens" in open(path).read(), drawn)
    refused = evaluate(*flags[:-1], f"{place}/a.jpg")
    check(refused.returncode == 2 and ".svg or .png" in refused.stderr, refused)


def no_text():
    os.symlink(f"{root}/models/keeper", f"{place}/keeper")
    shutil.copytree(f"{root}/models/keeper", f"{place}/alone/keeper")
    answer = run("eval", "--model", f"{place}/alone/keeper")
    check(answer.returncode == 2 and "--text" in answer.stderr and "prose.txt" in answer.stderr, answer)


def row(task, policy, budget, hits, context=128):
    common = {"task": task, "context": context, "policy": policy, "budget_percent": budget, "prompts": 100, "void": 0, "bytes_per_token": 1, "rounds_per_token": 1}
    return common | ({"hits": hits} if task != "ppl" else {"steps": 100, "agreed": hits, "nats_per_token": 2.5, "kl_nats": 0.1})


def recommend(rows, *arguments):
    path = f"{place}/crafted.json"
    json.dump({"model": "0" * 64, "plan": "0" * 64, "text": "0" * 64, "seed": 1, "scored": 32, "rows": rows}, open(path, "w"))
    return run("cost", "--shape", "smollm2-135m", "--context", "128", "--recommend", path, *arguments)


def picks():
    """window is cheaper the smaller it is; select at 50 % of so short a prompt costs more than the full cache."""
    rows = [row("keys", "window", 20, 94), row("keys", "window", 50, 97), row("keys", "full", None, 99), row("keys", "select", 50, 98),
            row("keys", "window", 80, 98), row("keys", "window", 90, 100, context=4096), row("ppl", "full", None, 100), row("ppl", "window", 50, 80),
            row("ppl", "window", 20, 80), row("ppl", "window", 80, 96), row("keys", "blocks:unit=64:window=64", 20, 99)]
    answer = json.loads(recommend(rows, "--task", "keys", "--json").stdout)
    verdicts = {(c["policy"], c["budget_percent"]): c["verdict"] for c in answer["choices"]}
    check(verdicts == {("full", None): "beaten", ("window", 20): "below the floor", ("window", 50): "picked", ("window", 80): "beaten", ("window", 90): "not measured",
                       ("select", 50): "dearer than full: never picked", ("blocks:unit=64:window=64", 20): "not allowed here"}, verdicts)
    check((answer["second"]["policy"], answer["second"]["budget_percent"]) == ("window", 80) and not answer["same_model"], answer["second"])
    check(answer["picked"]["seconds"] <= answer["second"]["seconds"] and answer["picked"]["bytes"] < answer["second"]["bytes"], answer)
    both = json.loads(recommend(rows, "--json").stdout)
    check(both["picked"]["budget_percent"] == 80 and both["picked"]["task"] == "ppl", "the worst task does not decide")
    low = json.loads(recommend(rows, "--task", "keys", "--floor", "94", "--json").stdout)
    check(low["picked"]["budget_percent"] == 20, "the floor itself is not good enough")
    none = recommend(rows[2:4], "--floor", "99.5")
    check(none.returncode == 0 and "nothing reaches the floor" in none.stdout and "99.0 %" in none.stdout, none)
    text = recommend(rows, "--task", "keys")
    check("picked: window (50 %)" in text.stdout and "never picked" in text.stdout and "another model" in text.stdout and "runner-up, window (80 %)" in text.stdout, text)


def bad_evaluations():
    for rows, arguments, code, words in (
            ([], (), 5, "rows is empty"), ([row("keys", "window", 20, 94)], (), 5, "no row of policy full"),
            ([row("keys", "best", 20, 94)], (), 5, "rows[0].policy"), ([row("keys", "full", None, 101)], (), 5, "hits is 101"),
            ([row("keys", "full", None, 99)], ("--task", "ppl"), 2, "no row of task ppl"), ([row("keys", "full", None, 99)], ("--policy", "window"), 2, "--recommend"),
            ([row("keys", "full", None, 99)], ("--task", "x"), 2, "no task")):
        answer = recommend(rows, *arguments)
        check(answer.returncode == code and words in answer.stderr and len(answer.stderr.splitlines()) == 1 and answer.stdout == "", f"{words}: {answer}")


try:
    made = run("plan", "--model", f"{root}/models/keeper", "--context", "112", "--out", plan)
    check(made.returncode == 0, made)
    for part in (table, figures, continued, picture, no_text, picks, bad_evaluations):
        part()
finally:
    shutil.rmtree(place)
print("\n".join(map(str, failures)) or "evaluations and recommendations are as they should be")
sys.exit(bool(failures))
