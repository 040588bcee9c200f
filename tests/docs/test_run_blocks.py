"""The runner of the documents' commands finds what is wrong with a page, and names file and line.

usage: test_run_blocks.py CACHET
"""
import os
import subprocess
import sys
import tempfile
import time

runner = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run_blocks.py")
failures = []


def check(condition, text):
    if not condition:
        failures.append(text)


def run(text, seconds="20"):
    """Exit code and output of the runner over one page."""
    with tempfile.TemporaryDirectory() as root:
        for folder in ("docs", "models"):
            os.mkdir(f"{root}/{folder}")
        with open(f"{root}/docs/page.md", "w", encoding="utf-8") as page:
            page.write(text)
        answer = subprocess.run([sys.executable, runner, sys.argv[1], root, "docs/page.md"], capture_output=True, text=True, timeout=60,
                                env={**os.environ, "DOCS_SECONDS": seconds}, check=False)
        return answer.returncode, answer.stdout


SH, CONSOLE, OUTPUT, END = "```sh\n", "```console\n", "```output\n", "```\n"
GOOD = f"""{SH}x=1
cachet keygen --out a.key >/dev/null
{END}
* in a list

  {SH}  cat <<END
  x is $x
  END
  [ -f a.key ]
  {END}  {OUTPUT}  x is ...
  {END}
{CONSOLE}cachet bench --model DIR | tee rows
{END}
"""
code, text = run(GOOD)
check(code == 0 and "2 blocks" in text, f"a good page: {code} {text}")

# What is wrong, and what the runner must say.
BAD = {
    f"{SH}true\n{END}{SH}true\nfalse\ntrue\n{END}{SH}true\n{END}": "docs/page.md:5: exit code 1",
    f"{SH}false | true\n{END}": "docs/page.md:2: exit code 1",
    f"{SH}exit 0\n{END}": "docs/page.md:2: exit code 0",
    f"{SH}echo one\necho two\n{END}{OUTPUT}one\n{END}": "docs/page.md:6: the output is another one",
    f"text\n\n{CONSOLE}cachet generate --promt x\n{END}": "docs/page.md:4: generate has no flag --promt",
    f"{CONSOLE}x=1; LANG=C build/cachet nosuch &\n{END}": "docs/page.md:2: there is no command nosuch",
    "Try `cachet keygen --uot FILE`.\n": "docs/page.md:1: keygen has no flag --uot",
    "    build/cachet plan --modle x\n": "docs/page.md:1: plan has no flag --modle",
    f"{SH}true\n": "docs/page.md:2: the fence is not closed",
}
for page, words in BAD.items():
    code, text = run(page)
    check(code == 1 and words in text, f"{words} is not found: {code} {text}")

code, text = run(f"{SH}true\n{END}{SH}sleep 30\n{END}", seconds="1")
check(code == 1 and "docs/page.md:5: takes more than" in text, f"a page that takes too long: {code} {text}")

with tempfile.TemporaryDirectory() as place:
    code, text = run(f"{SH}sleep 300 &\necho $! >{place}/pid\n{END}")
    pid = open(f"{place}/pid", encoding="utf-8").read().strip()
    time.sleep(0.2)
    state = ""
    if os.path.exists(f"/proc/{pid}/stat"):
        state = open(f"/proc/{pid}/stat", encoding="utf-8").read().rsplit(")", 1)[1].split()[0]
    check(code == 0 and state in ("", "Z"), f"a background process is left: {code} {text} state {state}")

print("\n".join(failures) or "the runner finds what is wrong")
sys.exit(bool(failures))
