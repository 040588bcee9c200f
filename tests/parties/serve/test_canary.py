"""Marked secrets and all that is left of a request: prompt, answer and weights stand in no log, no metric, no error, no file and no memory of a party.

usage: test_canary.py CACHET SOURCE_ROOT FIND_MARKS

Memory is read whole, which is more than a core holds (work areas are left out of cores), in the middle of a request and after it; the test says so
where that is not allowed. The gateway, which holds the prompt by right, and the model's file show that the search finds what is there."""
import json
import os
import random
import signal
import struct
import subprocess
import sys

from deployment import Place, processes, until_idle
from gateway import check, finish

PROMPT = "Zanzibar qvx81 hid the copper key under the third stone, and nobody but Mirabel knew. One day Mirabel"
TOKENS, ROW, SAMPLES = 40, 16, 200
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
        print(f"skipped: the memory of other processes may not be read {when}")
        return
    for name, pid in sorted(named.items()):
        size, seen = found[str(pid)]
        if name == "gateway":
            check(set(own) <= set(seen), f"the search finds {seen} in the gateway's memory {when}: it is blind")
        else:
            check(size > 10 << 20 and not seen, f"{seen} in {size} bytes of memory of {name} {when}")
        print(f"{name} {when}: {size >> 20} MB, found: {', '.join(seen) or 'nothing'}")


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
        watch(g, marks, answer)
        for where, text in told(place, g).items():
            for kind, patterns in marks.items():
                check(not any(pattern in text.encode() for pattern in patterns), f"{kind} in {where}")
    files = list(left_files(place))
    check(sum(path.endswith("weights.bin") for path in files) == 3, f"files: {files}")
    for path, (_, seen) in find(marks, *files).items():
        check(not seen, f"{seen} in {path}")
    print(f"{len(files)} files, {sum(len(p) for p in marks.values())} marks")


with Place(sys.argv[1], sys.argv[2]) as where:
    run(where)
finish()
