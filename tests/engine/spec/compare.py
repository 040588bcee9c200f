"""The plaintext twin against the numpy specification's twin on one plan: the same integers, wire by wire.

    compare.py --specification DIR --cachet PROGRAM --twin PROGRAM MODEL...      (twin: the program twin_values)

For each model: `cachet plan` makes a plan, twin_values runs prefill and decode steps under it, and the specification's run_clear runs the same
tokens under the same plan, twice:
  with the specification's own public tables   the two programs make table entries with different arithmetic (libm and numpy there, IEEE
                                               operations in a fixed order here), so last places may differ: reported, within LAST_UNITS
  with our tables in its gates                 every integer, ring and fraction must be EQUAL, in every wire and every opened value
Also compared: the float models, and the declared cost of every layer, which may not be larger than the specification's.
Exit status: 0 equal, 1 not, 77 when something that is needed is absent.
"""
import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

DECODE_STEPS = 3
GROUPS = ("RoPE", "rsqrt", "exp", "1/S", "SiLU")
# Entries of the spline tables carry 44 and 48 fraction bits: up to 2^59, more than doubles keep exactly, so the order of operations shows.
LAST_UNITS = {"RoPE": 1, "rsqrt": 4, "exp": 1, "1/S": 4, "SiLU": 1}


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


def parse(path):
    """The lines of twin_values."""
    got = {"wires": {}, "opened": {}, "tables": {}, "costs": {}}
    ints = lambda text: np.fromstring(text, np.int64, sep=" ")
    with open(path) as f:
        for line in f:
            kind, rest = line.split(" ", 1)
            if kind == "wire":
                step, label, ring, frac, _, values = rest.split(" ", 5)
                got["wires"].setdefault((int(step), label.replace("~", " ")), []).append((int(ring), int(frac), ints(values)))
            elif kind in ("logits", "squares"):
                step, _, values = rest.split(" ", 2)
                got["opened"].setdefault(int(step), {})[kind] = ints(values)
            elif kind == "table":
                name, _, values = rest.split(" ", 2)
                got["tables"][name] = ints(values)
            elif kind == "reference":
                got["reference"] = np.fromstring(rest.split(" ", 1)[1], np.float64, sep=" ")
            elif kind == "cost":
                step, layer, *cost = map(int, rest.split())
                got["costs"][step, layer] = cost
            elif kind == "violations":
                got["violations"] = int(rest)
    return got


def pieces(knots):
    """{(first x, end): index}"""
    return {(int(x), int(y)): i for i, (x, y) in enumerate(zip(knots, np.append(knots[1:], -1)))}


def compare_tables(ours, theirs):
    """{group: [entries, differing, largest difference]} over the pieces that both sides have; splines whose lowest knot differs, and whether
    that is all their difference: the specification takes it from (2^low + eps) - eps, which may be a rounding below 2^low, so that
    its table may begin one unit lower."""
    out, lower, explained = {}, [], ours.keys() == theirs.keys()
    for name, a in ours.items():
        if name.endswith(".knot"):
            continue
        b, spline = theirs[name], name[:name.index(".")] if name.startswith("rec") else name.rsplit(".", 1)[0]
        if spline + ".knot" in ours:
            mine, other = pieces(ours[spline + ".knot"]), pieces(theirs[spline + ".knot"])
            both, low = sorted(mine.keys() & other.keys()), int(ours[spline + ".knot"][1])
            if mine != other and spline not in lower:
                lower.append(spline)
                explained = explained and mine.keys() - other.keys() == {(0, low)} and other.keys() - mine.keys() == {(0, low - 1), (low - 1, low)}
            a, b = a[[mine[x] for x in both]], b[[other[x] for x in both]]
        d = np.abs(a - b)
        row = out.setdefault(S.group_of(name), [0, 0, 0])
        row[0] += len(a)
        row[1] += int((d != 0).sum())
        row[2] = max(row[2], int(d.max()))
    return out, lower, explained


def report_tables(ours, theirs):
    """Last units only."""
    groups, lower, explained = compare_tables(ours, theirs)
    for group, (entries, wrong, worst) in groups.items():
        print(f"  table {group}: {wrong} of {entries} entries differ" + (f", by at most {worst} in the last place" if wrong else ""))
    if lower:
        print("  one more knot in the specification, one unit below the lowest: " + ", ".join(lower))
    return explained and all(worst <= LAST_UNITS[group] for group, (_, _, worst) in groups.items())


def perturbed(ours, group, P):
    """Our tables with a change of about one unit of the wire in one group: what the comparison must notice."""
    name, unit = {"RoPE": ("cos", 1), "exp": (next(k for k in ours if k.endswith(".rounded")), 1), "SiLU": ("silu", 1 << (P.F - P.fu + 2)),
                  "1/S": ("reciprocal.value0", 1 << (P.F_recip - P.fy)), "rsqrt": ("norm0.attention.value0", 1 << (44 - P.ft(0, 1)))}[group]
    size = len(ours[name]) // 3 if name == "silu" else len(ours[name])  # constant terms alone
    return ours | {name: np.concatenate([ours[name][:size] + unit, ours[name][size:]])}


def compare_wires(ours, theirs):
    """{label: [values, differing, largest difference in units, wires of another ring or fraction]}; labels of one side only."""
    out = {}
    alone = {f"{label} (step {step})" for step, label in ours.keys() ^ theirs.keys()}
    for key, mine in ours.items():
        other = theirs.get(key, [])
        row = out.setdefault(key[1], [0, 0, 0, 0])
        if other and len(mine) != len(other):
            alone.add(f"{key[1]} (step {key[0]}: {len(mine)} wires here, {len(other)} there)")
        for (ring, frac, x), (ring2, frac2, y) in zip(mine, other):
            row[3] += (ring, frac) != (ring2, frac2)
            if x.shape != y.shape:
                alone.add(f"{key[1]} (step {key[0]}: {len(x)} values here, {len(y)} there)")
                continue
            d = np.abs(x - y)
            row[0] += len(x)
            row[1] += int((d != 0).sum())
            row[2] = max(row[2], int(d.max()))
    return out, alone


# The same integers in another ring: the embedding is looked up in Z_2^32 and extended here, and is a product of full width there; u_gate has
# the bits that g's product reads and no more; g has one bit more, for the guard.
OTHER_RINGS = {"embedding", "u_gate", "g"}


def report_wires(title, rows, alone, opened):
    equal = [k for k, r in rows.items() if r[1] == 0]
    print(f"  {title}: {sum(r[0] for r in rows.values())} values in {len(rows)} kinds of wires; {len(equal)} kinds equal, opened values "
          + ("equal" if opened == 0 else f"differ by up to {opened}"))
    for label, (count, wrong, worst, types) in rows.items():
        if wrong or (types and label not in OTHER_RINGS):
            print(f"    {label}: {wrong} of {count} differ, by {worst} at most" + (f"; ring or fraction of {types} wires" if types else ""))
    for what in sorted(alone):
        print(f"    on one side only: {what}")
    return not any(r[1] or (r[3] and k not in OTHER_RINGS) for k, r in rows.items()) and not alone and opened == 0


def compare_opened(got, theirs):
    worst = 0
    for step, (logits, squares) in theirs.items():
        for a, b in ((got["opened"][step]["logits"], logits), (got["opened"][step]["squares"], squares)):
            worst = max(worst, int(np.abs(a - b).max()))
    return worst


def compare_costs(M, P, gt, got, first, defer):
    """Layers: ours is never larger in any of rounds, online bytes, dealt bytes."""
    smaller = True
    for (step, layer), mine in sorted(got["costs"].items()):
        if layer < 0:
            continue
        n, before = (first, 0) if step == 0 else (1, first + step - 1)
        c = S.layer_cost(M, P, gt, layer, n, before, defer)
        spec = [c.rounds, c.on, c.off]
        smaller = smaller and all(a <= b for a, b in zip(mine, spec))
        if layer == 0 and step in (0, 1):
            print(f"  layer 0, {'prefill of %d rows' % n if step == 0 else 'decode step after %d rows' % before}: rounds {mine[0]} (specification {spec[0]}), "
                  f"online bytes {mine[1]} ({spec[1]}), dealt bytes {mine[2]} ({spec[2]})")
    for step, n, what in ((0, first, "prefill"), (1, 1, "decode step")):
        c = S.whole_cost(M, P, gt, n, 0 if step == 0 else first, defer)
        print("  whole {}: rounds {} ({}), online bytes {} ({}), dealt bytes {} ({})".format(
            what, *(v for pair in zip(got["costs"][step, -1], (c.rounds, c.on, c.off)) for v in pair)))
    return smaller


def one_model(args, path, flags, work, control):
    rows = args.rows
    M, bos = S.load_model(path)
    tokens = S.PL.samples(M, 1, rows, [bos], seed=7)[0]
    plan, values = os.path.join(work, "plan.json"), os.path.join(work, "values.txt")
    subprocess.run([args.cachet, "plan", "--model", path, "--context", "128", "--out", plan, *flags], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([args.twin, path, plan, values, *map(str, tokens)], check=True)
    got = parse(values)
    with open(plan) as f:
        text = json.load(f)
    P, other = S.make_plan(text, M)
    defer = not text["fold"]
    print(f"{os.path.basename(path)} {' '.join(flags)}: {rows - DECODE_STEPS} + {DECODE_STEPS} tokens; {got['violations']} values outside a bound")
    for line in other:
        print("  plan: " + line)

    gt = S.LY.Gates(M, P)
    ok = report_tables(got["tables"], S.public_tables(M, P, gt, rows))

    def run(tables, groups):
        gates = S.LY.Gates(M, P)
        rope = S.substitute(M, gates, tables, groups)
        wires, opened, costs = S.run_twin(M, P, gates, rope, tokens, DECODE_STEPS, defer)
        return (*compare_wires(got["wires"], wires), compare_opened(got, opened)), costs

    report_wires("the specification's tables", *run(got["tables"], ())[0])
    result, costs = run(got["tables"], GROUPS)
    same = report_wires("our tables", *result)
    for group in GROUPS if control else ():
        rows_of = run(perturbed(got["tables"], group, P), GROUPS)[0][0]
        seen = sum(r[1] > 0 for r in rows_of.values())
        print(f"  one unit more in {group}: seen in {seen} kinds of wires")
        ok = ok and seen > 0
    ok = ok and same and got["violations"] == 0 and not other
    for (_, _, layer, before), c in costs.items():
        n = rows - DECODE_STEPS if before == 0 else 1
        assert c == S.layer_cost(M, P, gt, layer, n, before, defer), "the specification's formula is not its count"
    ok = compare_costs(M, P, gt, got, rows - DECODE_STEPS, defer) and ok
    floats = S.PL.forward(M, tokens)
    difference = np.abs(got["reference"].reshape(floats.shape) - floats).max()
    print(f"  float models: logits differ by {difference:.2e} at most, of {np.abs(floats).max():.1f}")
    return ok and difference < 1e-3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--specification", required=True)
    parser.add_argument("--cachet", required=True)
    parser.add_argument("--twin", required=True)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    if not os.path.isfile(os.path.join(args.specification, "run.py")):
        skip("the numpy specification is not beside the tree")
    for package in ("numpy", "cryptography"):
        if importlib.util.find_spec(package) is None:
            skip(f"the Python package {package}, which the specification needs, is not installed")
    sys.dont_write_bytecode = True
    # First: the specification has modules of its own named like this file.
    sys.path.insert(0, args.specification)
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    global np, S
    import numpy as np
    import spec_side as S
    if not any(map(os.path.exists, args.models)):
        skip("none of the models is there")
    ok, control = True, True
    for path in args.models:
        if not os.path.exists(path):
            print(f"{os.path.basename(path)}: not there, left out")
            continue
        for flags in (["--general"], ["--general", "--thin", "--fold"]) if path.endswith("656k") else (["--general"],):
            with tempfile.TemporaryDirectory() as work:
                ok = one_model(args, path, flags, work, control) and ok
            control = False
    print("equal" if ok else "NOT equal")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
