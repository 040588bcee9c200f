"""The program's reports: help pages, costs of public shapes against their budgets, the memory that `up` refuses, JSON of a generation.

usage: test_commands.py CACHET SOURCE_ROOT
"""
import json
import subprocess
import sys
import tempfile

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
    check({"keygen", "plan", "share", "party", "generate", "up", "check", "cost", "eval", "bench", "relay", "config", "man", "completion"} <= set(commands), f"commands are {commands}")
    for command in commands:
        one = run(command, "--help")
        check(one.returncode == 0 and "--help" in one.stdout and one.stderr == "", f"{command} --help: {one}")
        bad = run(command, "--no-such-flag")
        check(bad.returncode == 2 and bad.stdout == "" and len(bad.stderr.splitlines()) == 1 and "no-such-flag" in bad.stderr, f"{command}: {bad}")
    check(run("no-such-command").returncode == 2, "an unknown command is not refused")


# Per token, decoder layers, sum over parties: (shape, T, flags) -> rounds, online MB, dealt MB at most.
BUDGETS = {
    ("gpt2", 2048, ""): (192, 8, 20), ("gpt2", 512, ""): (192, 3.5, 11.1),
    ("smollm2-135m", 2048, ""): (480, 15, 33), ("smollm2-135m", 512, ""): (480, 6.7, 16.5),
    ("llama-7b", 2048, ""): (512, 75, 165), ("llama-7b", 512, ""): (512, 44, 104),
    ("gpt2", 2048, "--general --thin --score-bits 5"): (216, 14.8, 66),
    ("gpt2", 2048, "--general --thin --fold --score-bits 4"): (216, 11.4, 49),
    ("smollm2-135m", 2048, "--general --thin --score-bits 5"): (510, 27.4, 120),
    ("smollm2-135m", 2048, "--general --thin --fold --score-bits 4"): (540, 21.1, 89),
    ("llama-7b", 2048, "--general --thin --score-bits 5"): (544, 130, 537),
}
TOKEN_HEAD, MLP_ELEMENT = 55.1, 216  # bytes, online and dealt, scores within 64 bits below their ceilings


def costs():
    for (shape, context, flags), (rounds, online, dealt) in BUDGETS.items():
        answer = json.loads(run("cost", "--shape", shape, "--context", str(context), *flags.split(), "--json").stdout)
        layers = answer["decode_layers"]
        got = layers["rounds"], layers["online_bytes"] / 1e6, layers["offline_bytes"] / 1e6
        check(got[0] <= rounds and got[1] <= online and got[2] <= dealt, f"{shape} {context} {flags}: {got}, at most {(rounds, online, dealt)}")
        if flags == "":
            head, element = sum(answer["bytes_per_cached_row_and_head"]), sum(answer["bytes_per_mlp_element"])
            check(0 < head <= TOKEN_HEAD and 0 < element <= MLP_ELEMENT, f"{shape}: {head} B per cached row and head, {element} per MLP element")
    check(len(json.loads(run("cost", "--gates", "--json").stdout)) >= 10, "gates are missing")


def classes_and_seconds():
    """The classes of operation add up to a token; links change seconds, and nothing else."""
    seconds = []
    for policy, link in ("full", "lan"), ("full", "wan"), ("select:budget=25:reuse=1", "wan"):
        answer = json.loads(run("cost", "--shape", "smollm2-135m", "--context", "256", "--policy", policy, "--link", link, "--json").stdout)
        for field in "rounds", "online_bytes", "offline_bytes":
            parts = sum(part[field] for part in answer["decode_by_class"].values())
            check(abs(parts - answer["decode"][field]) < 1e-6 * parts, f"{policy}: classes have {parts} {field} of {answer['decode'][field]}")
        check((answer["decode_by_class"]["selection"]["online_bytes"] > 0) == (policy != "full"), f"{policy}: what selects")
        seconds.append(answer["decode_seconds"])
    check(all(s["link"] > 0 and s["computing"] > 0 for s in seconds), f"seconds are {seconds}")
    check(seconds[1]["link"] > 20 * seconds[0]["link"] and seconds[2]["link"] > seconds[1]["link"], f"seconds on links are {seconds}")
    bad = run("cost", "--shape", "gpt2", "--link", "rtt=-1")
    check(bad.returncode == 2 and "rtt" in bad.stderr and bad.stdout == "", f"a bad link: {bad}")


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
    keeper = "--model", f"{root}/models/keeper", "--context", "64"
    answer = run("up", *keeper, "--prompt", "Once upon a time", "--max-tokens", "5", "--compare", "--json")
    with tempfile.TemporaryDirectory() as place:
        plan = json.loads(run("plan", *keeper, "--out", f"{place}/plan.json", "--json").stdout)
    report = json.loads(answer.stdout)
    check(report["clear"]["equal"] and report["clear"]["range_violations"] == 0, "the answer is not the twin's")
    check(len(report["tokens"]) == 5 and report["decode"]["tokens"] == 4 and report["policy"] == "full" and report["mode"] == "three-party", report)
    found = sum("find a maximum" in layer["attention"] for layer in plan["layers"])
    check(all(layer["attention"].startswith("ceilings") and layer["activation"].startswith("wave") for layer in plan["layers"]), "a layer has general gates")
    check(report["decode"]["rounds"] == report["prefill"]["rounds"] == 16 * 6 + 3 + 2 * found, "rounds are not 16 per layer")
    check(plan["token"]["rounds"] == report["decode"]["rounds"], "the plan counts other rounds than the parties")
    chosen, general = (sum(plan[name][part] for part in ("online_bytes", "offline_bytes")) for name in ("token", "token_general"))
    check(0 < 2 * chosen < general, f"the plan saves little: {chosen} bytes per token, general gates {general}")
    check([p["name"] for p in report["parties"]] == ["P0", "P1", "P2"], "parties are missing")
    check(report["parties"][0]["online_bytes"] == 0 and report["parties"][1]["offline_bytes"] == 0, "P0 spoke online, or P1 dealt")
    vocabulary = json.load(open(f"{root}/models/keeper/config.json"))["vocab_size"]
    check({p["opened_values"] for p in report["parties"]} == {5 * (vocabulary + 1) + 5}, "other values were opened than docs/leakage.md says")
    inside = json.loads(run("up", *keeper, "--prompt", "Once upon a time", "--max-tokens", "5", "--inside", "--json").stdout)
    check({p["opened_values"] for p in inside["parties"]} == {5 + 5}, "--inside opens other values than docs/leakage.md says")
    check(report["decode"]["online_bytes"] > 0 and report["decode"]["offline_bytes"] > 0 and report["commit"], "fields are empty")


def written_by_transformers():
    """Directories as transformers writes them: GPT-2 with LayerNorm, learned positions and biases everywhere, Qwen2 with those of q, k and v."""
    for name, ends in (("gpt2", 5), ("qwen2", 3)):
        model = "--model", f"{root}/tests/support/transformers/{name}"
        answer = run("up", *model, "--context", "60", "--prompt", "the hero and his men", "--max-tokens", "12", "--ignore-eos", "--compare", "--json")
        check(answer.returncode == 0, f"{name}: {answer.stderr}")
        if answer.returncode == 0:
            report = json.loads(answer.stdout)
            check(report["clear"]["equal"] and report["clear"]["range_violations"] == 0 and len(report["tokens"]) == 12, f"{name}: {report}")
            check(report["decode"]["rounds"] - ends in (2 * 16, 16 + 18, 2 * 18), f"{name}: {report['decode']}")
    longer = run("plan", "--model", f"{root}/tests/support/transformers/gpt2", "--context", "65", "--out", "/dev/null/plan.json")
    check(longer.returncode != 0 and "learned positions for 64" in longer.stderr, f"more positions than there are: {longer}")


for part in (help_pages, costs, classes_and_seconds, memory, generation, written_by_transformers):
    part()
print("\n".join(map(str, failures)) or "help, costs, memory and reports are as they should be")
sys.exit(bool(failures))
