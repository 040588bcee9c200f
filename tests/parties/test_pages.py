"""What follows from the tables of flags: man pages, completions, environment variables, advice about misspelt words; and `cachet config print`.

usage: test_pages.py CACHET SOURCE_ROOT BUILD_ROOT
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

cachet, root, build = (os.path.abspath(path) for path in sys.argv[1:4])
failures = []
clean = {key: value for key, value in os.environ.items() if not key.startswith("CACHET_")}


def run(*arguments, **variables):
    return subprocess.run([cachet, *arguments], capture_output=True, text=True, timeout=60, env={**clean, **variables}, check=False)


def check(condition, text):
    if not condition:
        failures.append(text)


def commands():
    return re.findall(r"^  ([a-z]+) +\S", run("--help").stdout, re.MULTILINE)


def flags_of(command):
    return set(re.findall(r"^ {2,6}(?:-., )?--([a-z0-9-]+)", run(command, "--help").stdout, re.MULTILINE))


def plain(roff):
    """A man page without its escapes."""
    return re.sub(r"\\f[BIR]", "", roff).replace("\\-", "-").replace("\\(aq", "'")


def man_pages():
    """Each command has a page, each flag stands in it, with its variable."""
    names = commands()
    check(run("man", "--list").stdout.split() == names, "cachet man --list differs from --help")
    program = plain(run("man").stdout)
    for command in names:
        check(f"cachet-{command} (1)" in program, f"cachet(1) does not name {command}")
        page = run("man", command, CACHET_JSON="neither", CACHET_CONTEXT="no number")
        text = plain(page.stdout)
        check(page.returncode == 0 and page.stderr == "" and text.startswith(".TH "), f"man {command}: {page}")
        options, environment = text.split(".SH ENVIRONMENT")
        check("the flag wins" in environment and ".SH EXIT STATUS" in environment, f"man {command} does not say what wins")
        for flag in flags_of(command) - {"help"}:
            check(f"--{flag}" in options, f"man {command} lacks --{flag}")
            check("CACHET_" + flag.upper().replace("-", "_") in environment, f"man {command} lacks the variable of --{flag}")
    codes = re.findall(r"^\.B (\d+)$", program, re.MULTILINE)
    check(codes == ["0"] + [str(code) for code in range(2, 13)], f"exit codes are {codes}")
    chapters = re.findall(r"^## (\d+) ", open(f"{root}/docs/errors.md", encoding="utf-8").read(), re.MULTILINE)
    check(chapters == codes[1:], f"docs/errors.md has chapters {chapters}")


def man_format():
    """What the programs that read man pages complain about."""
    for command in [None, *commands()]:
        page = run("man", *([command] if command else [])).stdout
        if shutil.which("mandoc"):
            lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning"], input=page, capture_output=True, text=True, check=False)
            complaints = [line for line in lint.stdout.splitlines() if "missing date" not in line]  # pages are the same on every day
            check(not complaints, f"mandoc on {command}: {complaints}")
        if shutil.which("groff"):
            rendered = subprocess.run(["groff", "-man", "-Tascii", "-ww"], input=page, capture_output=True, text=True, check=False)
            check(rendered.returncode == 0 and rendered.stderr == "", f"groff on {command}: {rendered.stderr}")


def complete_in_bash(*words):
    """What bash offers for the last of the words."""
    script = f'source <("{cachet}" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cachet; printf "%s\\n" "${{COMPREPLY[@]}}"'
    answer = subprocess.run(["bash", "-c", script, "bash", "cachet", *words], capture_output=True, text=True, env=clean, check=False)
    check(answer.stderr == "", f"bash completes {words} with {answer.stderr}")
    return set(answer.stdout.split())


def completions():
    names = commands()
    check(complete_in_bash("") == {*names, "--help", "--version"}, "bash does not offer all commands")
    check(complete_in_bash("gen") == {"generate"}, "bash does not complete gen")
    for command in names:
        offered = complete_in_bash(command, "--")
        check(offered == {"--" + flag for flag in flags_of(command)}, f"bash offers {offered} for {command}")
    check(complete_in_bash("man", "ge") == {"generate"} and complete_in_bash("completion", "z") == {"zsh"}, "bash does not complete words")
    check(complete_in_bash("generate", "--max-tokens", "") == {""} - {""}, "bash offers something for a number")
    with tempfile.TemporaryDirectory() as place:
        open(f"{place}/some.key", "w", encoding="utf-8").close()
        check(complete_in_bash("check", "--key", f"{place}/so") == {f"{place}/some.key"}, "bash does not complete files")
    for shell in "bash", "zsh", "fish":
        script = run("completion", shell).stdout
        check(script.count("--ignore-eos" if shell != "fish" else "-l ignore-eos") >= 1, f"{shell} lacks a flag")
        if shutil.which(shell):
            syntax = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, env=clean, check=False)
            check(syntax.returncode == 0, f"{shell} -n: {syntax.stderr}")
    if shutil.which("fish"):
        script = f'"{cachet}" completion fish | source; complete -C "cachet generate --pro"; complete -C "cachet compl"; complete -C "cachet completion f"'
        offered = subprocess.run(["fish", "-N", "-c", script], capture_output=True, text=True, env=clean, check=False).stdout
        check([line.split("\t")[0] for line in offered.splitlines()] == ["--prompt", "--prompt-file", "completion", "fish"], f"fish offers {offered}")


KEYS = ["rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs", "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"]
CONFIG = f"""version: 1
mode: three-party
parties:
  p0: {{address: "10.0.0.10:7100", key: "{KEYS[0]}"}}
  p1: {{address: "10.0.0.11:7100", key: "{KEYS[1]}"}}
  p2: {{address: "10.0.0.12:7100", key: "{KEYS[2]}"}}
clients:
  - {{name: alice, key: "{KEYS[3]}"}}
model: {{digest: {"ab" * 32}, plan: {"cd" * 32}, shares: 0123456789abcdef}}
cache: {{policy: "select:budget=25:reuse=4"}}
limits: {{step_seconds: 31}}
"""


def config():
    """The config as it is understood reads back as itself, with the same digest and every default."""
    with tempfile.TemporaryDirectory() as place:
        paths = [f"{place}/{name}.yaml" for name in ("written", "printed", "typo")]
        with open(paths[0], "w", encoding="utf-8") as file:
            file.write(CONFIG)
        first = run("config", "print", "--config", paths[0])
        with open(paths[1], "w", encoding="utf-8") as file:
            file.write(first.stdout)
        check(first.returncode == 0 and run("config", "print", "--config", paths[1]).stdout == first.stdout, f"config print: {first}")
        told = json.loads(run("config", "print", "--config", paths[1], "--json").stdout)
        check(f"# digest {told['digest']}" in first.stdout and len(told["digest"]) == 64, "the digests differ")
        check(told["limits"] == {"context": 2048, "connect_seconds": 60, "step_seconds": 31, "ahead_mib": 256, "slots": 4}, told["limits"])
        check(told["cache"]["policy"] == "select" and told["cache"]["keys"].items() >= {"budget": 25, "reuse": 4, "unit": 16, "score": "mean"}.items(), told["cache"])
        check([party["key"] for party in told["parties"]] == KEYS[:3] and told["parties"][2]["host"] == "10.0.0.12", told["parties"])
        check(told["clients"] == [{"name": "alice", "key": KEYS[3]}] and told["model"]["plan"] == "cd" * 32 and told["version"] == 1, told)
        with open(paths[2], "w", encoding="utf-8") as file:
            file.write(CONFIG.replace("step_seconds", "step_secs"))
        typo = run("config", "print", "--config", paths[2])
        check(typo.returncode == 5 and typo.stdout == "" and 'typo.yaml: line 11: unknown key "limits.step_secs": did you mean "step_seconds"?' in typo.stderr, typo)
        precedence(paths[0])


def precedence(path):
    """A flag wins over its variable, a variable over the default."""
    missing = path + ".missing"
    check(run("config", "print", CACHET_CONFIG=path).returncode == 0, "a variable does not stand for a required flag")
    check(run("config", "print", "--config", path, CACHET_CONFIG=missing).returncode == 0, "the variable wins over the flag")
    lost = run("config", "print", "--config", missing, CACHET_CONFIG=path)
    check(lost.returncode == 4 and missing in lost.stderr, f"the variable wins over the flag: {lost}")
    check(run("config", "print", CACHET_CONFIG=path, CACHET_JSON="1").stdout.startswith("{"), "CACHET_JSON=1 is no flag")
    check(not run("config", "print", CACHET_CONFIG=path, CACHET_JSON="0").stdout.startswith("{"), "CACHET_JSON=0 is a flag")
    check(run("config", "print", "--json", CACHET_CONFIG=path, CACHET_JSON="0").stdout.startswith("{"), "CACHET_JSON=0 wins over --json")
    number = "--shape", "gpt2", "--gates", "--context"
    for arguments, variables, code, words in (
        (number[:3], {"CACHET_CONTEXT": "many"}, 2, 'CACHET_CONTEXT is "many": must be a whole number'),
        ((*number, "0"), {"CACHET_CONTEXT": "5"}, 2, '--context is "0"'),
        ((*number, "5"), {}, 0, ""),
        (number[:3], {"CACHET_JSON": "yes"}, 2, 'CACHET_JSON is "yes": must be 0 or 1'),
        (number[:3], {"CACHET_LINK": ""}, 2, "CACHET_LINK is empty"),
    ):
        answer = run("cost", *arguments, **variables)
        check(answer.returncode == code and words in answer.stderr, f"cost {arguments} {variables}: {answer.returncode} {answer.stderr}")
    check(run("config", CACHET_ACTION="print", CACHET_CONFIG=path).returncode == 2, "a word has a variable")


def advice():
    for arguments, words in (
        (["genrate"], '"genrate": did you mean "generate"?'),
        (["conf"], 'did you mean "config"?'),
        (["qqqqqqqq"], 'there is no command "qqqqqqqq": usage: cachet COMMAND [--FLAG VALUE ...]; cachet --help lists them'),
        (["man", "plann"], 'did you mean "plan"?'),
        (["generate", "--prmpt-file", "x"], "there is no flag --prmpt-file: did you mean --prompt-file?"),
        (["generate", "--max-token-count=3"], "did you mean --max-tokens?"),
        (["keygen", "--qqqqqqqqqqqq"], "there is no flag --qqqqqqqqqqqq: see --help"),
        (["completion", "tcsh"], 'SHELL is "tcsh": must be bash, zsh or fish'),
        (["completion"], "SHELL is missing"),
        (["config", "show", "--config", "x"], 'ACTION is "show": must be print'),
        (["man", "plan", "share"], '"share" is no flag'),
    ):
        answer = run(*arguments)
        lines = answer.stderr.splitlines()
        check(answer.returncode == 2 and answer.stdout == "" and len(lines) == 1 and words in lines[0], f"{arguments}: {answer.stderr}")
    secret = run("generate", "--prmpt=zanzibar is a secret")
    check("zanzibar" not in secret.stderr and "did you mean --prompt?" in secret.stderr, f"a prompt behind a misspelt flag: {secret.stderr}")


def installation():
    """What `meson install` puts where; the program that is installed runs."""
    if shutil.which("meson") is None:
        return
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet"], capture_output=True, text=True,
                              env={**clean, "DESTDIR": place}, check=False)
        check(done.returncode == 0, f"meson install: {done.stdout} {done.stderr}")
        files = {os.path.join(folder, name)[len(place) :] for folder, _, names in os.walk(place) for name in names}
        prefix = next((name[: -len("/bin/cachet")] for name in files if name.endswith("/bin/cachet")), "")
        wanted = {f"{prefix}/share/man/man1/cachet{name}.1" for name in ["", *("-" + command for command in commands())]}
        wanted |= {f"{prefix}/share/{name}" for name in ("bash-completion/completions/cachet", "zsh/site-functions/_cachet", "fish/vendor_completions.d/cachet.fish")}
        check(wanted <= files, f"not installed: {wanted - files}")
        if wanted <= files:
            page = open(f"{place}{prefix}/share/man/man1/cachet-plan.1", encoding="utf-8").read()
            check(page == run("man", "plan").stdout, "the installed page is not the one that is printed")
        installed = subprocess.run([f"{place}{prefix}/bin/cachet", "--version"], capture_output=True, text=True, check=False)
        check(installed.stdout == run("--version").stdout, f"the installed program: {installed}")


for part in (man_pages, man_format, completions, config, advice, installation):
    part()
print("\n".join(map(str, failures)) or "pages, completions, variables and advice are as they should be")
sys.exit(bool(failures))
