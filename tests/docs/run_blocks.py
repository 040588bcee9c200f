"""Executes what the documents tell people to type.

usage: run_blocks.py CACHET SOURCE_ROOT FILE...

Fences of a Markdown file, in order, in one shell per file, in a scratch directory in which `build` is the program's directory and `models` and
`docs` are the repository's (`cachet` is in the path, too):

    ```sh         is executed with errexit and pipefail; what it sets and starts is there for the next block
    ```output     what the block before it prints, both streams; a line `...` stands for any lines, `...` within a line for any text
    ```console    takes too long, or needs what is not here: its commands and flags must exist, nothing is executed

Other fences are not looked at. Commands in `code` and in indented lines must exist with their flags, too. Background processes are ended at the end of a
file. A failure names file and line of the block. Where the system allows it each file has a network of its own, in which no port is taken.
"""
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile

SECONDS = float(os.environ.get("DOCS_SECONDS", 480))  # for one file
cachet, root = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
failures = []


class Block:
    def __init__(self, kind, line):
        self.kind, self.line, self.text, self.output = kind, line, "", None


def blocks_of(path):
    """Fenced blocks with the line of their first command, and the text outside of them with line numbers."""
    blocks, prose, block, indent = [], [], None, 0
    for number, line in enumerate(open(path, encoding="utf-8").read().splitlines(), 1):
        fence = re.match(r"( *)```(.*)$", line)
        if fence and block is None:
            block, indent = Block(fence.group(2).strip(), number + 1), len(fence.group(1))
        elif fence and not fence.group(2):
            if block.kind == "output":
                blocks[-1].output = block
            else:
                blocks.append(block)
            block = None
        elif block is not None:
            block.text += (line[indent:] if line[:indent].strip() == "" else line) + "\n"
        else:
            prose.append((number, line))
    if block is not None:
        failures.append(f"{path}:{block.line}: the fence is not closed")
    return blocks, prose


# --- commands and flags -------------------------------------------------------------------------------------------------

pages = {}


def flags_of(command):
    """The flags that `cachet COMMAND --help` lists; None where there is no such command."""
    if command not in pages:
        page = subprocess.run([cachet, command, "--help"], capture_output=True, text=True, timeout=60)
        pages[command] = set(re.findall(r"^ {2,6}(?:-., )?--([a-z0-9-]+)", page.stdout, re.MULTILINE)) if page.returncode == 0 else None
    return pages[command]


def commands_in(text):
    """The cachet commands of a shell text, as lists of words."""
    text = re.sub(r"\\\n", " ", text)
    for line in text.splitlines():
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:  # a quote that goes on in the next line
            words = line.split()
        while words:
            end = next((i for i, word in enumerate(words) if word and set(word) <= set("|&;()")), len(words))
            command = [word for word in words[:end] if not re.match(r"[A-Z_]+=", word)]
            words = words[end + 1 :]
            if command and command[0] in ("cachet", "build/cachet"):
                yield command[1:]


def check_command(words, where):
    if not words or words[0] in ("--help", "--version") or not re.fullmatch(r"[a-z]+", words[0]):
        return
    flags = flags_of(words[0])
    if flags is None:
        failures.append(f"{where}: there is no command {words[0]}")
        return
    for word in words[1:]:
        flag = re.match(r"--([a-z0-9-]+)", word)
        if flag and flag.group(1) not in flags:
            failures.append(f"{where}: {words[0]} has no flag --{flag.group(1)}")


def check_prose(prose, name):
    """Code in single backquotes or in an indented line that begins with the program's name."""
    for number, line in prose:
        for code in re.findall(r"`((?:build/)?cachet [^`]*)`", line) + re.findall(r"^ {4,}((?:build/)?cachet .*)", line):
            for words in commands_in(code):
                check_command(words, f"{name}:{number}")


# --- execution ----------------------------------------------------------------------------------------------------------

def script_of(blocks):
    """One shell for the whole file; descriptor 9 tells which block runs, and each block's output goes to a file of its own."""
    lines = ["set -eo pipefail", "export LC_ALL=C.UTF-8"]
    for block in blocks:
        lines += [f"echo {block.line} >&9", f"exec >.output.{block.line} 2>&1", block.text]
    return "\n".join(lines + ["echo done >&9"]) + "\n"


def expected(text):
    """A regular expression for the text of an output fence."""
    lines = []
    for line in text.splitlines():
        lines.append(r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n")
    return "".join(lines)


def tail(path):
    return "".join("    | " + line + "\n" for line in open(path, encoding="utf-8", errors="replace").read().splitlines()[-12:])


def run_file(path, name):
    blocks, prose = blocks_of(path)
    check_prose(prose, name)
    for block in blocks:
        if block.kind == "console":
            for words in commands_in(block.text):
                check_command(words, f"{name}:{block.line}")
    executed = [block for block in blocks if block.kind == "sh"]
    if not executed:
        return 0
    with tempfile.TemporaryDirectory() as place:
        os.symlink(os.path.dirname(cachet), f"{place}/build")
        for folder in ("models", "docs"):
            os.symlink(f"{root}/{folder}", f"{place}/{folder}")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CACHET_")}
        environment["PATH"] = os.path.dirname(cachet) + ":" + environment["PATH"]
        environment["TMPDIR"] = place
        script = f"{place}/.script"
        with open(script, "w", encoding="utf-8") as file:
            file.write(script_of(executed))
        with open(f"{place}/.at", "w+", encoding="utf-8") as at:
            shell = subprocess.Popen([*network, "bash", "-c", 'exec 9>"$1"; exec bash "$2"', "docs", f"{place}/.at", script], cwd=place, env=environment,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
            try:
                code = shell.wait(SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            end(shell.pid)
            shell.wait()
            reached = at.read().split()
        if not reached or reached[-1] != "done":
            line = reached[-1] if reached else executed[0].line
            why = f"takes more than {SECONDS} s" if code is None else f"exit code {code}"
            failures.append(f"{name}:{line}: {why}\n{tail(f'{place}/.output.{line}') if reached else ''}")
        for block in executed:
            output = f"{place}/.output.{block.line}"
            if block.output is not None and os.path.exists(output):
                text = open(output, encoding="utf-8", errors="replace").read()
                if not re.fullmatch(expected(block.output.text), text):
                    failures.append(f"{name}:{block.output.line}: the output is another one\n{tail(output)}")
    return len(executed)


def end(group):
    """Ends what a file has left in the background."""
    for what in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, what)
            if what == signal.SIGTERM:
                subprocess.run(["sleep", "0.5"], check=False)
        except ProcessLookupError:
            return


# A network of its own with a loopback device, and then the arguments.
LOOPBACK = """
import fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def own_network():
    prefix = ["unshare", "-n" if os.geteuid() == 0 else "-rn", sys.executable, "-c", LOOPBACK]
    try:
        return prefix if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0 else []
    except FileNotFoundError:
        return []


network = own_network()
count = 0
for argument in sys.argv[3:]:
    count += run_file(f"{root}/{argument}", argument)
for failure in failures:
    print(failure)
print(f"{count} blocks of {len(sys.argv) - 3} files executed, {len(failures)} failures")
sys.exit(bool(failures))
