"""The specification's side for plans with ceilings and waves: dealtrun.make and dealtlayer.layer run as they are written, with what a plan of ours
chooses put in their place:

  heads of two ranges           one gate for dealtlayer, which calls the specification's ExpTwo and Guard once per range (ByRange). Scores of a
                                narrow range count units of their own, so W_q and ceilings are scaled per head (Range.t is an array)
  heads that find a maximum     dealtlayer has none: y = c - x by the specification's own CoarseMax (rowmax.py), before exp. Rounds and bytes of that
                                gate are counted with the layer
  V, o', windows, 1/S           FV, FO2, FO3, TAU are constants of dealtlayer, 18 is written out; ours follow the layer's bounds: Widths
  1/S                           16 pieces per octave, 64 there; z is one less, and F follows the upper window; G is two below the window's edge at least
  a row maximum with a wave     layer.py's attention, then W_o of its mlp, then the part of dealtlayer.layer below "# MLP"

Rings are dealtlayer's: ours may be smaller, never larger. The wave's is 23 bits there, 19 to 21 here.
"""
import copy
import functools
import inspect
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

import curves
import dealt as X
import dealtlayer as DL
import dealtrun as DR
import layer as LY
import linear as L
import plan as PL
import rowmax
import spec_side as S
import tables
from wires import Cost, Pending, Wire, run_clear

GROUPS = ("RoPE", "rsqrt", "exp", "1/S", "wave")
OTHER_RINGS, SMALLER_RINGS = set(), True
FROM_OWN, FROM_MAXIMUM = 1, 2
MAXIMUM, CEILINGS = 0, 1
SCORE = 10                                                             # fraction bits of scores before they count units
WAVES = {1: (32, 7.5, 8), 2: (64, 22.5, 15)}                           # period, span, harmonics
GUARD_BYTES = 4                                                        # of one reading of g, and of a score where rows find a maximum


# ---- the specification's text -------------------------------------------------------------------------------------------
def parts():
    """Its layer, the part below "# MLP", its costs, and W_o with the residual of layer.py. The inverse's 18 bits become FY."""
    text, cost = (re.sub(r"\b18\b", "FY", inspect.getsource(f)) for f in (DL.layer, DL.layer_cost))
    assert text.count("FY") == 3 and cost.count("FY") == 2, "dealtlayer.py has changed"
    head, rest = text.split("    rot = ")
    _, mlp = rest.split("    # MLP\n")
    output, _ = inspect.getsource(LY.mlp).split("    # MLP\n")
    cheap, general = dict(vars(DL)), dict(vars(LY))
    exec(text + head.replace("def layer", "def mlp") + mlp + cost, cheap)
    exec(output.replace("def mlp", "def output") + "    return x\n", general)
    return cheap, general["output"]


# ---- gates --------------------------------------------------------------------------------------------------------------
class Widths:
    """engine/plan.c, eng_plan_ceiling_widths, as far as integers depend on it."""

    def __init__(self, P, o):
        b, headroom = o["bits"], o["headroom"]
        used = [(t, h) for t, h in zip(o["range_bits"], o["range_log_cells"]) if t]
        self.headroom, self.empty = headroom, min((2 * t) >> h for t, h in used)
        if FROM_MAXIMUM in o["head_from"]:
            self.empty = 0
        self.v_frac = min(10, max(6, 13 - b["v"]))
        self.window = max(6, (headroom + 1) // 2)
        self.read_frac = max(22, max(self.window, headroom - self.window) + 11)
        o_ring = P.fu + max(P.fwo + b["yo"], b["o"]) + 2
        self.inverse_frac = min(18, P.R - o_ring + P.fu - self.read_frac)

    def constants(self):
        return dict(TAU=self.window, FV=self.v_frac, FO2=self.read_frac, FO3=self.read_frac + self.window, FY=self.inverse_frac)


class ByRange:
    """exp and guard of one layer, each called once by dealtlayer.layer for all heads: y (Hk, Gq, pairs)."""

    def __init__(self, o, fo, Re, c):
        self.ranges, self.fo, self.Re, self.c, self.starts = [], fo, Re, c, None
        for r, (t, h) in enumerate(zip(o["range_bits"], o["range_log_cells"])):
            heads = np.flatnonzero(np.array(o["head_range"]) == r)
            if t == 0 or len(heads) == 0:
                continue
            s = SCORE + (t - 1).bit_length()
            bins = h - 1
            while (2 * t) >> bins > 20:
                bins += 1
            found = np.flatnonzero([o["head_from"][i] == FROM_MAXIMUM for i in heads])
            find = rowmax.CoarseMax(s, bins, s + 1) if len(found) else None
            guard = X.Guard(s + 1, h, 1 << (h - 1))
            self.ranges.append(SimpleNamespace(heads=heads, s=s, t=t, exp=X.ExpTwo(s, t, fo, Re), guard=guard, find=find, found=found))

    def split(self, y):
        return [(r, y.lin(lambda v, r=r: v.reshape(-1, v.shape[-1])[r.heads])) for r in self.ranges]

    def exp(self, p, y):
        """A head that finds its row's maximum reads y = c - x, x = its score less the middle of the range."""
        pending = []
        for r, w in self.split(y):
            if r.find:
                x = L.add_const(L.negate(w.lin(lambda v, r=r: v[r.found])), 1 << (r.s - 1))
                rows = np.repeat(np.arange(len(self.starts)), np.diff(np.append(self.starts, w.shape[-1])))
                lowered = w.x.copy()
                lowered[r.found] = L.add(r.find(p, x, self.starts)[..., rows], x, -1, r.s + 1).x
                w = replace(w, x=lowered)
            pending.append((r, r.exp(p, w)))

        def finish(c):
            e = np.zeros((sum(len(r.heads) for r in self.ranges), y.shape[-1]), np.int64)
            for r, q in pending:
                e[r.heads] = q.finish(c).x
            return Wire(self.Re, self.fo, self.fo, x=e.reshape(y.shape))
        return Pending([], finish, Cost(1, sum(q.cost.on for _, q in pending), sum(q.cost.off for _, q in pending)))

    def guard(self, p, y):
        for r, w in self.split(y):
            r.guard(p, w)

    def cost(self, gate, n):
        """Of a layer's `n` scores: what dealtlayer.layer_cost asks of a gate."""
        heads = sum(len(r.heads) for r in self.ranges)
        each = [gate(r).cost(n // heads * len(r.heads)) for r in self.ranges]
        return Cost(each[0].rounds, sum(c.on for c in each), sum(c.off for c in each))

    def find_cost(self, n):
        """Of the maxima, for rows at self.starts of n pairs."""
        c = Cost()
        for r in self.ranges:
            if r.find:
                c = c + r.find.cost(len(r.found) * n, len(r.found) * len(self.starts), r.find.rc(self.starts, n))
        return c


class Called:
    """A gate whose attributes dealtlayer reads."""

    def __init__(self, call, cost, **attributes):
        self.call, self.cost = call, cost
        self.__dict__.update(attributes)

    def __call__(self, *args):
        return self.call(*args)


@functools.cache
def fitted(kind):
    return X.Wave(curves.silu, *WAVES[kind])


class Gates:
    def __init__(self, M, P):
        self.cheap, self.output = parts()
        self.layers, self.waves, self.plan = [], {}, P.stored
        general = LY.Gates(M, P) if any(o["attention"] == MAXIMUM for o in P.stored) else None
        for l, o in enumerate(P.stored):
            assert o["wave"] in WAVES, f"layer {l}: default plans of these models read every activation as a wave"
            wave = self.waves[o["wave"]] = self.waves.get(o["wave"]) or copy.copy(fitted(o["wave"]))
            norm = {(l, i, q): LY.norm_gate(M, P, l, i, q) for i, q in S.NORMS.values()}
            g = SimpleNamespace(norm=norm | {(l, i): norm[l, i, False] for i in (1, 2)}, wave={l: wave}, rg={l: None}, heads=None)
            if o["attention"] == MAXIMUM:
                g.exp, g.max, g.recip, g.cut_S, g.k_S = general.exp, general.max, general.recip, general.cut_S, general.k_S
            else:
                self.ceilings(g, M, P, l, o)
            self.layers.append(g)

    def ceilings(self, g, M, P, l, o):
        w = g.widths = Widths(P, o)
        self.cheap.update(w.constants())
        # `widths` takes the empty cell from t and h: whole bits of `empty` are t = empty, h = 1.
        fo, Re, c = self.cheap["widths"](P, l, SimpleNamespace(t=w.empty, h=1, G=w.headroom))
        heads = g.heads = ByRange(o, fo, Re, c)
        s, unit = max(r.s for r in heads.ranges), np.zeros(M.H)
        for r in heads.ranges:
            unit[r.heads] = r.t * 2.0 ** (s - r.s)
        own, ceil = [int(v == FROM_OWN) for v in o["head_from"]], [v / 16 for v in o["head_ceiling"]]
        g.rg = {l: DL.Range(unit, s, w.headroom, ceil, own, 0, 0, 0, 0)}          # t and s above; guard and wave are gates of their own
        k, G = fo - c + P.lgT() + 1, max(w.headroom + 1, w.window + 2)
        hi, F = 1 << fo + min(o["sum"], P.lgT() - c), min(44, 61 - w.window)
        g.recip = {l: X.RecipTwo(k, fo, w.window, G, hi, fo - w.window - 13, 16, w.inverse_frac, F)}
        g.fo, g.Re = {l: fo}, {l: Re}
        g.exp = {l: Called(heads.exp, lambda n: heads.cost(lambda r: r.exp, n), c=c)}
        g.guard = {l: Called(heads.guard, lambda n: heads.cost(lambda r: r.guard, n))}

    def layer(self, l):
        g = self.layers[l]
        if g.heads:
            self.cheap.update(g.widths.constants())
        return g

    def scaled(self, M):
        """The model with W_q of every head in units of its range."""
        M2 = copy.copy(M)
        M2.w = dict(M.w)
        for l, g in enumerate(self.layers):
            if g.heads:
                r = g.rg[l]
                M2.w["q", l] = M.w["q", l] * (DL.LOG2E * 2.0**r.s / (np.repeat(r.t, M.D) * 2.0**SCORE))[:, None]
        return M2


def make_gates(M, P):
    return Gates(M, P)


def every_exp(gt):
    for g in gt.layers:
        for r in g.heads.ranges if g.heads else ():
            yield f"two.{r.s}.{r.t}.{g.heads.fo}", r.exp


def span_of(wave):
    limit = int(wave.span * 2**wave.fg)
    return limit, np.arange(-limit, limit + 1)


# ---- public tables ------------------------------------------------------------------------------------------------------
def public_tables(M, P, gt, count):
    """{name of twin_values: the specification's array}, of what the plan's layers use."""
    out = {}

    def spline(name, s):
        out[name + ".knot"] = s.kn
        for e, (a, b) in enumerate(s.co):
            out[f"{name}.value{e}"], out[f"{name}.slope{e}"] = a, b

    for l, g in enumerate(gt.layers):
        for name, key in S.NORMS.items():
            spline(f"norm{l}.{name}", g.norm[(l, *key)])
        if g.heads:
            gate = g.recip[l]
            # the two windows' pieces are zero where the other one lies
            (a, b), (c, d) = gate.co
            out[f"inverse{l}.knot"], out[f"inverse{l}.value"], out[f"inverse{l}.slope"] = gate.kn, a + c, b + d
        else:
            e = g.exp[l]
            out[f"exp{e.k}.table"], out[f"exp{e.k}.rounded"] = e.X, tables.Exp.clear(e, np.arange(1 << e.k))
            spline("reciprocal", g.recip)
    for name, e in every_exp(gt):
        out[name + ".mantissa"], out[name + ".shift"], out[name + ".e"] = e.mu, e.w + e.J, e.clear(np.arange(1 << e.s))
    for w, wave in gt.waves.items():
        _, x = span_of(wave)
        out[f"wave{w}.psi"], out[f"wave{w}.constant"] = wave.clear(x) - x, np.array([wave.c0])
        out[f"wave{w}.bits"], out[f"wave{w}.cosine"] = np.array(wave.Fc), wave.base
        out[f"wave{w}.amplitude"] = wave.A
    for name, v in zip(("cos", "sin"), PL.rope_tables(M, np.arange(count), P.fc)):
        out[name] = v.reshape(-1)
    return out


def substitute(M, gt, ours, groups):
    """As spec_side.substitute."""
    def spline(name, s):
        s.kn = ours[name + ".knot"]
        s.co = [(ours[f"{name}.value{e}"], ours[f"{name}.slope{e}"]) for e in range(len(s.co))]

    def windows(l, s):
        kn, a, b = (ours[f"inverse{l}.{x}"] for x in ("knot", "value", "slope"))
        high = kn >= 1 << (gt.layers[l].heads.fo - s.tau)
        s.kn, s.co = kn, [(np.where(high, a, 0), np.where(high, b, 0)), (np.where(high, 0, a), np.where(high, 0, b))]

    for l, g in enumerate(gt.layers):
        if "rsqrt" in groups:
            for name, key in S.NORMS.items():
                spline(f"norm{l}.{name}", g.norm[(l, *key)])
        if "1/S" in groups:
            windows(l, g.recip[l]) if g.heads else spline("reciprocal", g.recip)
        if "exp" in groups and not g.heads:
            g.exp[l].clear = lambda y, t=ours[f"exp{g.exp[l].k}.rounded"]: t[y]
    if "exp" in groups:
        for name, e in every_exp(gt):
            e.clear = lambda y, t=ours[name + ".e"]: t[y]
    if "wave" in groups:
        for w, wave in gt.waves.items():
            wave.clear = lambda x, psi=ours[f"wave{w}.psi"], limit=span_of(wave)[0]: psi[x + limit] + x
    return S.rope_of(M, ours, groups)


def one_unit(P, gt, group):
    """As spec_side.one_unit, in the first layer with ceilings."""
    l, g = first_cheap(gt)
    gate, (name, _) = g.recip[l], next(every_exp(gt))
    return {"RoPE": {"cos": (None, 1)}, "rsqrt": {f"norm{l}.attention.value0": (None, 1 << (44 - P.ft(l, 1)))}, "exp": {name + ".e": (None, 1)},
            "1/S": {f"inverse{l}.value": (None, 1 << (gate.F - gate.fy))}, "wave": {f"wave{P.stored[l]['wave']}.psi": (None, 1)}}[group]


def first_cheap(gt):
    return next((l, g) for l, g in enumerate(gt.layers) if g.heads)


def raise_ceiling(gt):
    l, g = first_cheap(gt)
    g.rg[l].ceil[-1] += 1 / 16


def lower_guard(gt):
    _, g = first_cheap(gt)
    g.heads.ranges[0].guard.top = 2


# Of the layer's public numbers, beside its tables.
CHANGES = {"a ceiling 1/16 nat higher": raise_ceiling, "a guard of two cells": lower_guard}


# ---- the twin with every wire recorded ------------------------------------------------------------------------------------
LABELS = {"embed": "embedding", "W_o o": "yo", "W_down h": "yd", "h": "activation", "u": "p", "SiLU": "wave"}


class Recorder(S.Recorder):
    """Records dealt.py's operations, too."""

    def cut(self, old):
        signature = inspect.signature(old)

        def new(*args, **named):
            label = signature.bind(*args, **named).arguments["label"]

            def seen(w):
                ours = LABELS.get(label, label)
                for r, part in self.heads.split(w) if label == "score" else [(None, w)]:
                    self.put(ours, part)
                if label == "embed":
                    self.put("extend embedding", w)
            return self.later(old(*args, **named), seen)
        return new

    def extend(self, old):
        def new(p, w, R, label="extend"):
            return self.later(old(p, w, R, label), lambda out: self.put("extend" if w.frac == self.P.fx else "extend v", out))
        return new

    def name_of_cut(self, label):
        return "o in the high window" if self.heads else super().name_of_cut(label)

    def wave(self, old):
        def new(gate, p, g, bound, label="wave"):
            return self.later(old(gate, p, g, bound, label), lambda out: self.put("wave", out, out.x - g.x))
        return new

    def __enter__(self):
        super().__enter__()
        self.replace(X, "cut_product", self.cut)
        self.replace(X, "cut_lift", self.cut)
        self.replace(X.ExpTwo, "__call__", self.gate("exp"))
        self.replace(X.RecipTwo, "__call__", self.gate("1/S"))
        self.replace(X.Wave, "__call__", self.wave)
        return self


def run_twin(M, P, gt, rope, tokens, decode_steps, defer):
    """As spec_side.run_twin."""
    M2 = gt.scaled(M)
    ints = LY.weights(M2, P)
    table = [(name, q.shape, f, b) for name, q, f, b in ints]
    first, counted, opened, void = len(tokens) - decode_steps, {}, {}, []
    program, _ = DR.make(M2, P, gt, first, decode_steps + 1, table, counted)

    def layer(p, M, P, gt, W, l, x, cache, pos):
        g, n, T0, before = gt.layer(l), len(pos), pos[0], copy.copy(p.tally)
        p.acc = getattr(p, "acc", 0)
        r.heads = g.heads
        if g.heads is None:
            LY.mlp = lambda p, M, P, gt, W, l, x, o: every.cheap["mlp"](p, M, P, gt, W, l, every.output(p, M, P, gt, W, l, x, o), None, pos)
            return LY.layer(p, M, P, g, W, l, x, cache, pos, defer and n == 1)
        g.heads.starts = np.concatenate([[0], np.cumsum(T0 + 1 + np.arange(n))[:-1]]).astype(np.int64)
        x = gt.cheap["layer"](p, M, P, g, W, l, x, cache, pos)
        declared = gt.cheap["layer_cost"](M, P, l, n, T0, g) + g.heads.find_cost(sum(T0 + 1 + i for i in range(n)))
        spent = Cost(p.tally.rounds - before.rounds, p.tally.on - before.on, p.tally.off - before.off)
        assert declared == spent, ("the specification's formula is not its count", l, declared, spent)
        return x

    every, saved = gt, (DL.layer, LY.mlp, LY.rope_tables, PL.rope_tables)
    with Recorder(P) as r:
        client = S.client_of(r, M, P, ints, tokens, decode_steps, opened, lambda c: void.append(X.guard_take(c)))
        try:
            DL.layer, LY.rope_tables, PL.rope_tables = layer, rope, rope
            run_clear(program, client)
        finally:
            DL.layer, LY.mlp, LY.rope_tables, PL.rope_tables = saved
    wires = {k: [(R, frac(), x) for R, frac, x in v] for k, v in r.wires.items()}
    return wires, opened, step_costs(M, P, counted, first), any(void)


def step_costs(M, P, counted, first):
    costs = {}
    for (_, n, l, before), c in counted.items():
        costs[0 if before == 0 else 1 + before - first, l] = c
    for step in {step for step, _ in costs}:
        n = first if step == 0 else 1
        head = X.cut_cost(n * M.V, P.R, P.fx + P.fw - 14) + X.cut_cost(n, P.R, 16)
        c = X.cut_cost(n * M.d, P.R, 0) + Cost(1, head.on, head.off)
        for l in range(M.L):
            c = c + costs[step, l]
        costs[step, -1] = c
    return costs


def guard_bytes(M, gt, l, n, before):
    """Dealt by our guards where the specification has none: of g, and of scores under a row maximum."""
    pairs = sum(before + 1 + i for i in range(n))
    return GUARD_BYTES * (n * M.ffn + (0 if gt.layers[l].heads else M.H * pairs))
