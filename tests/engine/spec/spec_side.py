"""The specification's side of the comparison: its model, its plan and gates from ours, and its twin with every wire recorded.

Importing this module needs the specification's folder on sys.path (compare.py puts it there).
"""
import inspect
import json
import os
import shutil
import struct
import tempfile

import numpy as np

import curves
import layer as LY
import linear as L
import plan as PL
import run as RUN
import rowmax
import tables
from wires import Cost, run_clear

GROUPS = ("RoPE", "rsqrt", "exp", "1/S", "SiLU")
# The same integers in another ring: the embedding is looked up in Z_2^32 and extended here, and is a product of full width there; u_gate has
# the bits that g's product reads and no more, and lies like the logits in the smallest word that holds it; g has one bit more, for the guard.
OTHER_RINGS, SMALLER_RINGS = {"embedding", "u_gate", "g", "logits"}, False
CHANGES = {}
NORMS = {"squared": (1, True), "attention": (1, False), "mlp": (2, False)}


# ---- model and plan ---------------------------------------------------------------------------------------------------
def as_float32(path):
    """A copy of a Hugging Face directory with F32 tensors: the specification reads nothing else."""
    out = tempfile.mkdtemp(prefix="cachet-spec-")
    shutil.copy(os.path.join(path, "config.json"), out)
    with open(os.path.join(path, "model.safetensors"), "rb") as f:
        buf = f.read()
    size = struct.unpack("<Q", buf[:8])[0]
    head, body, at = {}, [], 0
    for name, t in json.loads(buf[8:8 + size]).items():
        if name == "__metadata__":
            continue
        a, b = t["data_offsets"]
        raw = np.frombuffer(buf[8 + size + a:8 + size + b], {"F16": "<f2", "F32": "<f4"}[t["dtype"]]).astype("<f4").tobytes()
        head[name] = {"dtype": "F32", "shape": t["shape"], "data_offsets": [at, at + len(raw)]}
        body.append(raw)
        at += len(raw)
    text = json.dumps(head).encode()
    with open(os.path.join(out, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(body))
    return out


def load_model(path):
    if not os.path.isdir(path):
        return PL.load_llama2c(path), 1
    copy = as_float32(path)
    try:
        with open(os.path.join(copy, "config.json")) as f:
            bos = json.load(f)["bos_token_id"]
        return PL.load_hf(copy), bos
    finally:
        shutil.rmtree(copy)


class StoredPlan(PL.Plan):
    """A plan whose fractions of the norms are read, not derived."""

    def ft(self, l, i):
        return self.stored[l]["ft"][i - 1]

    def bt(self, l, i):
        return self.stored[l]["bt"][i - 1]

    def fS(self, l, i, d):
        return self.stored[l]["fs"][i - 1]


SAME_FIELDS = "fx fw fwo fc fu fs bin cell fb fe fo fo2 fy fg kg hs kn".split()
OTHER_FIELDS = {"context": "T", "ring_sv": "Rsv", "per_octave": "per", "f_reciprocal": "F_recip", "f_silu": "F", "ring": "R"}


def make_plan(text, M):
    """(plan, widths that the specification would derive otherwise). rho and the ranges are exponents here and floats there."""
    layers = []
    for o in text["layers"]:
        pair = lambda f, o=o: {1: f(0, o), 2: f(1, o)}
        layers.append(PL.LayerPlan(pair(lambda i, o: 2.0 ** o["rho"][i]), pair(lambda i, o: 2.0 ** o["low"][i] + M.eps),
                                   pair(lambda i, o: 2.0 ** o["high"][i] + M.eps), o["bits"]))
    fields = {f: text[f] for f in SAME_FIELDS} | {theirs: text[ours] for ours, theirs in OTHER_FIELDS.items()}
    P = StoredPlan(layers, **fields)
    P.stored, P.lm_bits = text["layers"], text["lm_bits"]
    base, other = PL.Plan, []
    for l in range(M.L):
        for i in (1, 2):
            for name, want, have in (("ft", base.ft(P, l, i), P.ft(l, i)), ("fs", base.fS(P, l, i, M.d), P.fS(l, i, M.d))):
                if want != have:
                    other.append(f"layer {l} norm {i}: {name} {have}, specification {want}")
            # the base class adds its integer bits to the fraction that this plan stores
            if base.bt(P, l, i) != P.bt(l, i):
                other.append(f"layer {l} norm {i}: bt {P.bt(l, i)}, specification {base.bt(P, l, i)}")
    # Its conditions are those of the general gates.
    general = not any(o["attention"] or o["wave"] for o in text["layers"])
    return P.check() if general else P, other


def make_gates(M, P):
    return LY.Gates(M, P)


# ---- public tables ----------------------------------------------------------------------------------------------------
def public_tables(M, P, gt, count):
    """{name of twin_values: the specification's array}"""
    out = {}

    def spline(name, s):
        out[name + ".knot"] = s.kn
        for e, (a, b) in enumerate(s.co):
            out[f"{name}.value{e}"], out[f"{name}.slope{e}"] = a, b

    for l in range(M.L):
        for name, key in NORMS.items():
            spline(f"norm{l}.{name}", gt.norm[(l, *key)])
        e = gt.exp[l]
        if f"exp{e.k}.table" not in out:
            out[f"exp{e.k}.table"] = e.X
            out[f"exp{e.k}.rounded"] = tables.Exp.clear(e, np.arange(1 << e.k))
    spline("reciprocal", gt.recip)
    out["silu"] = np.concatenate(gt.silu.c)
    for name, v in zip(("cos", "sin"), PL.rope_tables(M, np.arange(count), P.fc)):
        out[name] = v.reshape(-1)
    return out


def group_of(name):
    """What a table serves: rsqrt, 1/S, exp, SiLU, wave, RoPE."""
    if name.endswith((".amplitude", ".constant")):
        return "coefficients of the wave"
    return next(g for start, g in (("norm", "rsqrt"), ("rec", "1/S"), ("inverse", "1/S"), ("exp", "exp"), ("two", "exp"), ("silu", "SiLU"),
                                   ("wave", "wave"), ("cos", "RoPE"), ("sin", "RoPE")) if name.startswith(start))


def substitute(M, gt, ours, groups):
    """Puts our tables of `groups` into the specification's gates. Returns the RoPE function its layer shall use."""
    def spline(name, s):
        s.kn = ours[name + ".knot"]
        s.co = [(ours[f"{name}.value{e}"], ours[f"{name}.slope{e}"]) for e in range(len(s.co))]

    if "rsqrt" in groups:
        for l in range(M.L):
            for name, key in NORMS.items():
                spline(f"norm{l}.{name}", gt.norm[(l, *key)])
    if "1/S" in groups:
        spline("reciprocal", gt.recip)
    if "SiLU" in groups:
        gt.silu.c = list(ours["silu"].reshape(3, -1))
    if "exp" in groups:
        for e in gt.exp:
            e.clear = lambda y, t=ours[f"exp{e.k}.rounded"]: t[y]
    return rope_of(M, ours, groups)


def rope_of(M, ours, groups):
    if "RoPE" not in groups:
        return PL.rope_tables
    half = lambda name: ours[name].reshape(-1, 1, M.D // 2)
    return lambda M, pos, frac: (half("cos")[pos], half("sin")[pos])


def one_unit(P, gt, group):
    """{table: (how many entries, change)}: about one unit of the wire that the group makes."""
    return {"RoPE": {"cos": (None, 1)}, "exp": {f"exp{gt.exp[0].k}.rounded": (None, 1)}, "SiLU": {"silu": (1 << P.hs, 1 << (P.F - P.fu + 2))},
            "1/S": {"reciprocal.value0": (None, 1 << (P.F_recip - P.fy))}, "rsqrt": {"norm0.attention.value0": (None, 1 << (44 - P.ft(0, 1)))}}[group]


# ---- the twin with every wire recorded ----------------------------------------------------------------------------------
# Labels of the specification -> ours. None: not a wire of its own here (the product is cut before it is opened).
PRODUCTS = {"embed": "embedding", "sum e v": None, "W_o o": "yo", "W_down h": "yd", "score own": "own score"}
GATES = {"rsqrt 1": "rsqrt", "rsqrt 2": "rsqrt", "SiLU(g) p": "silu(g) p"}
CUTS = {"o'": "sum e v", "trunc": "S"}


class Recorder:
    """Replaces the operations of the specification by ones that also record (label, ring, fraction, integers)."""

    def __init__(self, P):
        self.P, self.wires, self.step, self.saved = P, {}, 0, []

    def put(self, label, wire, x=None, ring=None, frac=None):
        times = self.wires.setdefault((self.step, label), [])
        x = np.array(wire.x if x is None else x).reshape(-1)
        # fix() sets the fraction of a wire after it was made: read when the run is over
        times.append((wire.R if ring is None else ring, (lambda: wire.frac) if frac is None else (lambda: frac), x))

    def later(self, pending, seen):
        finish = pending.finish

        def new(c):
            out = finish(c)
            seen(out)
            return out
        pending.finish = new
        return pending

    def replace(self, owner, name, make):
        old = getattr(owner, name)
        self.saved.append((owner, name, old))
        setattr(owner, name, make(old))

    def product(self, old):
        signature = inspect.signature(old)

        def new(*args, **named):
            label = signature.bind(*args, **named).arguments.get("label", "product")
            ours = PRODUCTS.get(label, label)
            q = old(*args, **named)
            if ours is None:
                return q

            def seen(w):
                self.put(ours, w)
                if label == "embed":
                    self.put("extend embedding", w)
            return self.later(q, seen)
        return new

    def extend(self, old):
        def new(p, w, R, label="extend"):
            ours = "extend" if R != self.P.Rsv else "extend e" if w.frac == self.P.fo else "extend v"
            return self.later(old(p, w, R, label), lambda out: self.put(ours, out))
        return new

    def trunc_free(self, old):
        def new(p, w, f, bound=None, label="trunc"):
            out = old(p, w, f, bound, label)
            if f > 0:
                self.put(self.name_of_cut(label), out)
            return out
        return new

    def name_of_cut(self, label):
        return CUTS[label]

    def gate(self, ours):
        def make(old):
            signature = inspect.signature(old)

            def new(*args, **named):
                label = signature.bind(*args, **named).arguments.get("label", "exp")

                def seen(out):
                    for w in out if isinstance(out, list) else [out]:
                        self.put(ours or GATES.get(label, label), w)
                return self.later(old(*args, **named), seen)
            return new
        return make

    def coarse_max(self, old):
        """Both openings of the gate from its input: suffix counts under the worst reading, and the maximum before its offset."""
        def new(gate, p, w, starts):
            out = old(gate, p, w, starts)
            n, half, bins = w.shape[-1], 1 << (gate.k - 1), 1 << gate.h
            hot = ((((w.x + half) >> gate.s) + 1)[..., None] == np.arange(bins)).astype(np.int64)
            counts = np.cumsum(np.add.reduceat(hot, starts, axis=-2)[..., ::-1], -1)[..., ::-1][..., 1:]
            self.put("suffix counts", w, counts, gate.rc(np.asarray(starts), n), 0)
            self.put("coarse max", out, out.x + half)
            return out
        return new

    def __enter__(self):
        self.replace(L, "bilinear", self.product)
        self.replace(L, "mul_lift", self.product)
        self.replace(L, "extend", self.extend)
        self.replace(L, "trunc_free", self.trunc_free)
        self.replace(curves.Spline, "__call__", self.gate(None))
        self.replace(curves.Segments, "__call__", self.gate(None))
        self.replace(tables.Exp, "__call__", self.gate("exp"))
        self.replace(rowmax.CoarseMax, "__call__", self.coarse_max)
        return self

    def __exit__(self, *exc):
        for owner, name, old in reversed(self.saved):
            setattr(owner, name, old)


def client_of(r, M, P, ints, tokens, decode_steps, opened, after=lambda c: None):
    """Gives weights and tokens, the prompt and then one by one, and takes logits and sum x^2 of each step; then `after`."""
    def client(c):
        for _, q, _, _ in ints:
            c.give(q, P.R)
        at = 0
        for step in range(decode_steps + 1):
            n = len(tokens) - decode_steps if step == 0 else 1
            r.step = step
            c.give(np.eye(M.V, dtype=np.int64)[tokens[at:at + n]], P.R)
            # a failed program answers with an empty array, which these shapes refuse
            opened[step] = c.take((n, M.V), P.R).reshape(n * M.V), c.take((n,), P.R).reshape(n)
            after(c)
            at += n
    return client


def run_twin(M, P, gt, rope, tokens, decode_steps, defer):
    """(wires {(step, label): [(ring, fraction, integers)]}, {step: (logits, squares)}, costs {(step, layer): Cost}, layer -1 being the step; is
    an answer void: run.py has no guard)."""
    ints = LY.weights(M, P)
    table = [(name, q.shape, f, b) for name, q, f, b in ints]
    first, costs, opened = len(tokens) - decode_steps, {}, {}
    program, _ = RUN.make(M, P, gt, first, decode_steps + 1, defer, table, costs)

    with Recorder(P) as r:
        client = client_of(r, M, P, ints, tokens, decode_steps, opened)
        old = LY.rope_tables
        LY.rope_tables = rope
        try:
            run_clear(program, client)
        finally:
            LY.rope_tables = old
    wires = {k: [(R, frac(), x) for R, frac, x in v] for k, v in r.wires.items()}
    return wires, opened, step_costs(M, P, gt, costs, first, defer), False


def step_costs(M, P, gt, counted, first, defer):
    """A step as run.py makes it: embedding by one product in the residual's ring, the layers, logits of every row beside sum x^2."""
    costs = {}
    for (_, _, l, before), c in counted.items():
        step, n = (0, first) if before == 0 else (1 + before - first, 1)
        assert c == LY.layer_cost(M, P, l, n, before, defer and n == 1, gt), "the specification's formula is not its count"
        costs[step, l] = c
    for step in {step for step, _ in costs}:
        n = first if step == 0 else 1
        head = L.product_cost(n * M.V, P.R, P.fx + P.fw - 14) + L.product_cost(n, P.R, 16)
        c = L.product_cost(n * M.d, P.R, 0) + Cost(1, head.on, head.off)
        for l in range(M.L):
            c = c + costs[step, l]
        costs[step, -1] = c
    return costs


def guard_bytes(M, gt, l, n, before):
    """Dealt by our guards, where the specification has none: less than what packing saves, so nothing is taken off."""
    return 0
