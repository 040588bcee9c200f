"""Marked secrets and all that is left of a request: prompt, answer, weights, private keys and session keys stand in no log, no metric, no error, no file and no
memory of a party that they do not belong to; a party that crashes leaves no core.

usage: test_canary.py CACHET SOURCE_ROOT FIND_MARKS

Memory is read whole, which is more than a core holds (work areas are left out of cores), in the middle of a request and after it. Where that is not allowed,
or where no process leaves a core, the test ends as skipped. The gateway, which holds the prompt by right, the model's file, the owners of keys and a process
that does leave a core show that what is looked for is found where it is.

Session keys are taken from the parties themselves: each lies alone in a locked block that forks do not copy (base/memory.h), and both holders of one must
show the same."""
import json
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time

from deployment import Place, processes, until_idle
from gateway import check, finish, sanitized

PROMPT = "Zanzibar qvx81 hid the copper key under the third stone, and nobody but Mirabel knew. One day Mirabel"
TOKENS, ROW, SAMPLES = 40, 16, 200
KEY, BLOCK = 32, 192  # bytes: of a key; of a block with three of them and a header of 64
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
OWNERS = {"p0": "p0", "p1": "p1", "p2": "p2", "client": "gateway"}  # key file -> process
HOLDERS = {"session-01": ("p0", "p1"), "session-02": ("p0", "p2"), "session-12": ("p1", "p2")}
skipped = []
COMPLETION = "/v1/completions"


def weight_marks(model):
    """Runs of weights as the file has them, and as floats of 32 bits."""
    with open(os.path.join(model, "model.safetensors"), "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        tensors = {name: entry for name, entry in json.loads(file.read(size)).items() if name != "__metadata__"}
        names, chance, marks = sorted(tensors), random.Random(5), set()
        while len(marks) < SAMPLES:
            entry = tensors[chance.choice(names)]
            width = {"F32": 4, "F16": 2, "BF16": 2}[entry["dtype"]]
            first, last = entry["data_offsets"]
            at = chance.randrange(first, max(first + 1, last - ROW * width), width)
            file.seek(8 + size + at)
            raw = file.read(min(ROW * width, last - at))
            # Rows of equal numbers, as norms have them, are found anywhere.
            if len(raw) < ROW * width or len({raw[i:i + width] for i in range(0, len(raw), width)}) < ROW // 2:
                continue
            marks.add(raw)
            if entry["dtype"] == "BF16":
                marks.add(b"".join(b"\0\0" + raw[i:i + 2] for i in range(0, len(raw), 2)))
            elif entry["dtype"] == "F16":
                marks.add(struct.pack(f"<{ROW}f", *struct.unpack(f"<{ROW}e", raw)))
    return marks


def text_marks(text):
    """Any third of it, so that a piece is found as well."""
    third = len(text) // 3
    return {text[i * third:(i + 1) * third].encode() for i in range(3)}


def halves(key):
    return {key[:KEY // 2], key[KEY // 2:]}


def z85_decode(text):
    raw = b""
    for i in range(0, len(text), 5):
        value = 0
        for c in text[i:i + 5]:
            value = value * 85 + Z85.index(c)
        raw += value.to_bytes(4, "big")
    return raw


def key_marks(place):
    """Of each private key: its text, which nobody keeps, and its bytes, which its owner does."""
    texts, marks = {}, {}
    for name in OWNERS:
        with open(place.path("kept", f"{name}.key"), encoding="ascii") as file:
            text = re.search(r"^secret (\S{40})$", file.read(), re.MULTILINE).group(1)
        texts["text-" + name] = {text[:20].encode(), text[20:].encode()}
        marks["key-" + name] = halves(z85_decode(text))
    return texts, marks


def locked_blocks(pid):
    """The ends of all mappings of a process that are in no core and empty in a child, where base_alloc_locked puts small secrets."""
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file, open(f"/proc/{pid}/mem", "rb") as memory:
        for part in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", file.read(), flags=re.MULTILINE):
            flags = re.search(r"^VmFlags:(.*)$", part, re.MULTILINE)
            if flags and " wf" in flags.group(1) and " dd" in flags.group(1):
                end = int(re.match(r"[0-9a-f]+-([0-9a-f]+) ", part).group(1), 16)
                memory.seek(end - BLOCK)
                yield memory.read(BLOCK)


def session_marks(named):
    """Keys of this meeting: those blocks of which P0 and P1, P0 and P2, P1 and P2 hold the same in the same place."""
    held = {}
    for name in HOLDERS["session-01"] + ("p2",):
        try:
            blocks = [block for block in locked_blocks(named[name]) if block[0] == 1 and not any(block[1:64])]
        except PermissionError:
            return {}
        held[name] = [[block[64 + i * KEY:64 + (i + 1) * KEY] for i in range(3)] for block in blocks]
    marks = {}
    for place, (kind, (one, other)) in enumerate(HOLDERS.items()):
        both = {keys[place] for keys in held[one]} & {keys[place] for keys in held[other]} - {bytes(KEY)}
        check(len(both) == 1, f"{len(both)} keys that {one} and {other} both hold in a locked block: expected one")
        marks[kind] = set().union(*map(halves, both))
    return marks


def find(marks, *places):
    """Files and processes: place -> (bytes read, kinds found in it). None: a memory may not be read."""
    lines = "".join(f"{kind} {pattern.hex()}\n" for kind, patterns in marks.items() for pattern in patterns)
    done = subprocess.run([sys.argv[3], *map(str, places)], input=lines, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode == 3:
        return None
    check(done.returncode == 0, f"find_marks: {done.stderr}")
    rows = [line.rsplit(" ", line.count(" ") - place.count(" ")) for line, place in zip(done.stdout.splitlines(), map(str, places))]
    return {row[0]: (int(row[1]), sorted(set(row[2:]))) for row in rows}


def judge_memory(named, marks, when, own):
    """own: what the gateway holds by right at that moment."""
    found = find(marks, *named.values())
    if found is None:
        skipped.append(f"the memory of other processes may not be read {when}")
        return
    for name, pid in sorted(named.items()):
        size, seen = found[str(pid)]
        if name == "gateway":
            check(set(own) <= set(seen), f"the search finds {seen} in the gateway's memory {when}: it is blind")
        else:
            check(size > 10 << 20 and not seen, f"{seen} in {size} bytes of memory of {name} {when}")
        print(f"{name} {when}: {size >> 20} MB, found: {', '.join(seen) or 'nothing'}")


def judge_keys(named, texts, marks):
    """Private and session keys: in the memory of those who hold them, and of no other process, not even the one that made the keys."""
    found = find({**texts, **marks}, *named.values())
    if found is None:
        skipped.append("the memory of other processes may not be read: keys")
        return
    holders = {**{"key-" + name: (owner,) for name, owner in OWNERS.items()}, **HOLDERS}
    for name, pid in sorted(named.items()):
        size, seen = found[str(pid)]
        own = sorted(kind for kind in marks if name in holders[kind])
        check(seen == own, f"{seen} in {size} bytes of memory of {name}, which holds {own}")
        print(f"{name}: {size >> 20} MB, keys found: {', '.join(seen) or 'none'}")


def left_files(place):
    """What the deployment leaves on disk, but for what belongs to the client."""
    for directory, _, names in os.walk(place.path("kept")):
        for name in names:
            path = os.path.join(directory, name)
            if "/set/client/" not in path:
                yield path


def text_of(stream):
    """The answer in the events of a whole response, chunk headers and all."""
    events = [json.loads(line[6:]) for line in stream.decode().split("\n") if line.startswith("data: {")]
    return "".join(event["choices"][0]["text"] for event in events if event["choices"])


def dumps_core(words, log, seconds=20):
    """Whether a process that is ended by SIGSEGV, when its log says that it runs, leaves a core; and what files are left in its directory."""
    with tempfile.TemporaryDirectory() as directory, open(log, "w+", encoding="utf-8") as out:
        process = subprocess.Popen(words, cwd=directory, stdout=out, stderr=out,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))
        begun = time.time()
        while os.path.getsize(log) == 0 and time.time() < begun + seconds:
            time.sleep(0.02)
        check(os.path.getsize(log) > 0, f"{words[:2]} says nothing")
        os.kill(process.pid, signal.SIGSEGV)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -signal.SIGSEGV
        check(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSEGV, f"{words[:2]} has ended with status {status}")
        return os.WIFSIGNALED(status) and os.WCOREDUMP(status), os.listdir(directory)


def judge_core(place):
    """A party as it is waits for the others."""
    try:
        dumped, _ = dumps_core(["sh", "-c", "echo ready; exec sleep 30"], place.path("control.log"))
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        skipped.append(f"cores may not be asked for: {error}")
        return
    if not dumped:
        skipped.append("no process leaves a core here: a party's may be missing for the same reason")
    dumped, left = dumps_core([os.path.abspath(place.cachet), "party", "--config", place.path("kept", "config.yaml"), "--key", place.path("kept", "p0.key"),
                               "--shares", place.path("kept", "set", "p0")], place.path("crashed.log"))
    check(not dumped and not left, f"a party that crashed has left a core: {dumped}, {left}")
    print("a party that crashed leaves", "a core" if dumped else "no core")


def watch(g, marks, answer):
    s = g.open(PROMPT, {"Connection": "close"}, path=COMPLETION, max_tokens=TOKENS, temperature=0, stream=True)
    got = s.recv(65536)
    while b"data: " not in got:
        got += s.recv(65536)
    named = processes(g)
    check(set(named) == {"p0", "p1", "p2", "gateway"}, f"processes: {named}")
    os.kill(named["gateway"], signal.SIGSTOP)  # the request stays under way, however long the search takes
    judge_memory(named, marks, "during", ["prompt"])
    os.kill(named["gateway"], signal.SIGCONT)
    while part := s.recv(65536):
        got += part
    check(text_of(got) == answer, f"the answer is {text_of(got)!r}, the model says {answer!r} in the clear")
    check(until_idle(g) is not None, "the request does not end")
    judge_memory(named, marks, "after", [])
    return named


def told(place, g):
    texts = {**place.logs("kept"), "the gateway": g.log()}
    for page in "/metrics", "/state", "/health":
        texts[page] = g.ask("GET", page).body.decode()
    bad = {"a wrong field": {"prompt": PROMPT, "nonsense": 1}, "too many tokens": {"prompt": PROMPT, "max_tokens": 99999}, "a long prompt": {"prompt": PROMPT * 30}}
    for what, body in bad.items():
        answer = g.ask("POST", COMPLETION, body)
        check(answer.status == 400, f"{what}: {answer.status}")
        texts[what] = answer.body.decode()
    return texts


def run(place):
    answer = place.twin(PROMPT, TOKENS)
    marks = {"prompt": text_marks(PROMPT), "answer": text_marks(answer), "weights": weight_marks(place.model)}
    own = os.path.join(place.model, "model.safetensors")
    check(find(marks, own)[own][1] == ["weights"], "the search finds no weights in the model's file: it is blind")
    with place.up("kept") as g:
        texts, keys = key_marks(place)
        named = watch(g, marks, answer)
        keys |= session_marks(named)
        if len(keys) == len(OWNERS):
            skipped.append("session keys are not known here")
        judge_keys({**named, "up": g.process.pid}, texts, keys)
        marks |= {**texts, **keys}
        for where, text in told(place, g).items():
            for kind, patterns in marks.items():
                check(not any(pattern in text.encode() for pattern in patterns), f"{kind} in {where}")
    files = list(left_files(place))
    check(sum(path.endswith("weights.bin") for path in files) == 3, f"files: {files}")
    for path, (_, seen) in find(marks, *files).items():
        own = re.fullmatch(r".*/kept/(\w+)\.key", path)
        check(seen == (["text-" + own.group(1)] if own else []), f"{seen} in {path}")
    judge_core(place)
    print(f"{len(files)} files, {sum(len(p) for p in marks.values())} marks")


if sanitized(sys.argv[1]):
    print("SKIP: what a sanitizer keeps of memory that was freed is not the product's")
    sys.exit(77)
with Place(sys.argv[1], sys.argv[2]) as where:
    run(where)
finish()
if skipped:
    print("SKIP:", "; ".join(skipped))
    sys.exit(77)
