"""The program's reports: help pages, costs of public shapes against their budgets, the memory that `up` refuses, JSON of a generation.

usage: test_commands.py CACHET SOURCE_ROOT
"""
import json
import subprocess
import sys

cachet, root = sys.argv[1:3]
failures = []


def run(*arguments):
    return subprocess.run([cachet, *arguments], capture_output=True, text=True, timeout=300)


def check(condition, text):
    if not condition:
        failures.append(text)


def help_pages():
    page = run("--help")
    commands = [line.split()[0] for line in page.stdout.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    check(page.returncode == 0 and len(page.stdout.splitlines()) <= 24, "cachet --help does not fit a screen")
    check({"keygen", "plan", "share", "party", "generate", "up", "check", "cost"} <= set(commands), f"commands are {commands}")
    for command in commands:
        one = run(command, "--help")
        check(one.returncode == 0 and "--help" in one.stdout and one.stderr == "", f"{command} --help: {one}")
        bad = run(command, "--no-such-flag")
        check(bad.returncode == 2 and bad.stdout == "" and len(bad.stderr.splitlines()) == 1 and "no-such-flag" in bad.stderr, f"{command}: {bad}")
    check(run("no-such-command").returncode == 2, "an unknown command is not refused")


# Per token at T = 2048, decoder layers, sum over parties: (shape, flags) -> rounds, online MB, dealt MB at most.
BUDGETS = {
    ("gpt2", "--thin --score-bits 5"): (204, 14.8, 66), ("gpt2", "--thin --fold --score-bits 4"): (216, 11.4, 49),
    ("smollm2-135m", "--thin --score-bits 5"): (510, 27.4, 120), ("smollm2-135m", "--thin --fold --score-bits 4"): (540, 21.1, 89),
    ("llama-7b", "--thin --score-bits 5"): (544, 130, 537),
}


def costs():
    for (shape, flags), (rounds, online, dealt) in BUDGETS.items():
        answer = run("cost", "--shape", shape, "--context", "2048", *flags.split(), "--json")
        layers = json.loads(answer.stdout)["decode_layers"]
        got = layers["rounds"], layers["online_bytes"] / 1e6, layers["offline_bytes"] / 1e6
        check(got[0] <= rounds and got[1] <= online and got[2] <= dealt, f"{shape} {flags}: {got}, at most {(rounds, online, dealt)}")
    check(len(json.loads(run("cost", "--gates", "--json").stdout)) >= 10, "gates are missing")


def memory():
    """P1 and P2 within 18 bytes per parameter, P0 within 9; and a model that no machine of this kind holds is refused at once."""
    answer = json.loads(run("cost", "--shape", "smollm2-135m", "--context", "512", "--json").stdout)
    parameters = 134_515_008 - (30 * 2 + 1) * 576  # published, less the gains that are folded away
    for party, limit in enumerate((9, 18, 18)):
        each = answer["memory"][party]["weights"] / parameters
        check(each <= limit, f"P{party} holds {each:.2f} bytes per weight")
    free = next(int(line.split()[1]) * 1024 for line in open("/proc/meminfo") if line.startswith("MemAvailable"))
    if free < 200e9:
        refused = run("up", "--shape", "llama-7b", "--context", "16", "--max-tokens", "1")
        check(refused.returncode == 3 and "are free" in refused.stderr, f"up with too little memory: {refused}")


def generation():
    answer = run("up", "--model", f"{root}/models/keeper", "--prompt", "Once upon a time", "--max-tokens", "5", "--compare", "--json")
    report = json.loads(answer.stdout)
    check(report["clear"]["equal"] and report["clear"]["range_violations"] == 0, "the answer is not the twin's")
    check(len(report["tokens"]) == 5 and report["decode"]["tokens"] == 4 and report["policy"] == "full" and report["mode"] == "three-party", report)
    check(report["decode"]["rounds"] == 16 * 6 + 3 and report["prefill"]["rounds"] == 17 * 6 + 3, "rounds are not 16 or 17 per layer")
    check([p["name"] for p in report["parties"]] == ["P0", "P1", "P2"], "parties are missing")
    check(report["parties"][0]["online_bytes"] == 0 and report["parties"][1]["offline_bytes"] == 0, "P0 spoke online, or P1 dealt")
    check(report["decode"]["online_bytes"] > 0 and report["decode"]["offline_bytes"] > 0 and report["commit"], "fields are empty")


for part in (help_pages, costs, memory, generation):
    part()
print("\n".join(map(str, failures)) or "help, costs, memory and reports are as they should be")
sys.exit(bool(failures))
