"""The plaintext twin against the numpy specification's twin on one plan: the same integers, wire by wire.

    compare.py --specification DIR --cachet PROGRAM --twin PROGRAM MODEL...      (twin: the program twin_values)

For each model and each kind of plan (the default one: ceilings and waves, spec_cheap.py; general gates, spec_side.py): `cachet plan` makes a plan,
twin_values runs prefill and decode steps under it, and the specification's run_clear runs the same tokens under the same plan, twice:
  with the specification's own public tables   the two programs make table entries with different arithmetic (REASONS), so last places may
                                               differ: reported, within LAST_UNITS
  with our tables in its gates                 every integer, ring and fraction must be EQUAL, in every wire and every opened value
Rings: those of a default plan may be smaller than the specification's, never larger. Neither side's guard may call a step void.
Also compared: the float models, and the declared cost of every layer, which may not be larger than the specification's. Guards that are here alone
are taken off before: 4 bytes of each reading of g, and of each score of a layer that finds row maxima.
Controls: one unit more in a table, a ceiling 1/16 nat higher, a guard of two cells. Each must be noticed.
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
# Entries of the spline tables carry 44 and 48 fraction bits: up to 2^59, more than doubles keep exactly, so the order of operations shows.
# Coefficients of a wave are fitted, with other numbers of rounds; they are counted in units of the words that they become, 2^-17.
# e has up to 52 fraction bits, and a mantissa of 50.
LAST_UNITS = {"RoPE": 1, "rsqrt": 4, "exp": 4, "1/S": 4, "SiLU": 1, "wave": 1, "coefficients of the wave": 1 / 16}
REASONS = {"rsqrt": "another order of operations on doubles",
           "exp": "e is rounded from a mantissa of fixed width here, from a double there",
           "wave": "rounded from the fitted coefficients",
           "coefficients of the wave": "80 rounds of fitting (protocols/wave_fit.py), 60 there; a unit is one of the dealt words"}


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


def parse(path):
    """The lines of twin_values."""
    got = {"wires": {}, "opened": {}, "tables": {}, "costs": {}}
    with open(path, "rb") as f:
        for line in f:
            kind, *words = line.decode().split()

            def values(kind=np.int64):
                return np.frombuffer(f.read(8 * int(words[-1])), kind)
            if kind == "wire":
                step, label, ring, frac, _ = words
                got["wires"].setdefault((int(step), label.replace("~", " ")), []).append((int(ring), int(frac), values()))
            elif kind in ("logits", "squares"):
                got["opened"].setdefault(int(words[0]), {})[kind] = values()
            elif kind in ("table", "real"):
                got["tables"][words[0]] = values(np.int64 if kind == "table" else np.float64)
            elif kind == "reference":
                got["reference"] = values(np.float64)
            elif kind == "cost":
                step, layer, *cost = map(int, words)
                got["costs"][step, layer] = cost
            elif kind == "violations":
                got["violations"] = int(words[0])
    return got


def pieces(knots):
    """{(first x, end): index}"""
    return {(int(x), int(y)): i for i, (x, y) in enumerate(zip(knots, np.append(knots[1:], -1)))}


def compare_tables(ours, theirs):
    """{group: [entries, differing, largest difference]} over the pieces that both sides have, in tables that the specification's layers
    read; splines whose lowest knot differs, and whether that is all their difference: the specification takes it from (2^low + eps) - eps,
    which may be a rounding below 2^low, so that its table may begin one unit lower."""
    out, lower, explained = {}, [], ours.keys() >= theirs.keys()
    for name in theirs:
        a = ours[name]
        if name.endswith(".knot"):
            continue
        a, b = in_units(name, a, theirs[name], ours)
        spline = name[:name.index(".")] if name.startswith("rec") else name.rsplit(".", 1)[0]
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
        row[2] = max(row[2], d.max())
    return out, lower, explained


def in_units(name, a, b, ours):
    """Of a wave: coefficients in units of its words; cosines as they are read, rounded from 30 bits here and from doubles there."""
    if name.endswith(".amplitude"):
        return a * 2.0**17, b * 2.0**17
    if name.endswith(".constant"):
        return a * 2.0**-18, b * 2.0**-18
    if name.endswith(".cosine"):
        bits = np.unique(ours[name.replace("cosine", "bits")])
        read = (np.concatenate([f(q) for q in bits]) for f in (lambda q: (a + (1 << (29 - q))) >> (30 - q), lambda q: np.round(b * 2.0**q)))
        return tuple(read)
    return a, b


def report_tables(ours, theirs):
    """Last units only."""
    groups, lower, explained = compare_tables(ours, theirs)
    for group, (entries, wrong, worst) in groups.items():
        reason = REASONS.get(group, "rounding")
        print(f"  table {group}: {wrong} of {entries} entries differ" + (f", by at most {worst:.3g} in the last place: {reason}" if wrong else ""))
    if lower:
        print("  one more knot in the specification, one unit below the lowest: " + ", ".join(lower))
    return explained and all(worst <= LAST_UNITS[group] for group, (_, _, worst) in groups.items())


def perturbed(ours, unit):
    """Our tables with a change of about one unit of the wire: what the comparison must notice. unit: {name: (entries, change)}"""
    changed = {}
    for name, (size, change) in unit.items():
        changed[name] = np.concatenate([ours[name][:size] + change, ours[name][len(ours[name]) if size is None else size:]])
    return ours | changed


def compare_wires(ours, theirs):
    """{label: [values, differing, largest difference in units, wires of another ring, of a larger ring or of another fraction]}; labels of one
    side only."""
    out = {}
    alone = {f"{label} (step {step})" for step, label in ours.keys() ^ theirs.keys()}
    for key, mine in ours.items():
        other = theirs.get(key, [])
        row = out.setdefault(key[1], [0, 0, 0, 0, 0])
        if other and len(mine) != len(other):
            alone.add(f"{key[1]} (step {key[0]}: {len(mine)} wires here, {len(other)} there)")
        for (ring, frac, x), (ring2, frac2, y) in zip(mine, other):
            row[3] += ring != ring2
            row[4] += ring > ring2 or frac != frac2
            if x.shape != y.shape:
                alone.add(f"{key[1]} (step {key[0]}: {len(x)} values here, {len(y)} there)")
                continue
            d = np.abs(x - y)
            row[0] += len(x)
            row[1] += int((d != 0).sum())
            row[2] = max(row[2], int(d.max()))
    return out, alone


def report_wires(title, side, rows, alone, opened):
    equal = [k for k, r in rows.items() if r[1] == 0]
    smaller = [k for k, r in rows.items() if r[3] and not r[4]]
    print(f"  {title}: {sum(r[0] for r in rows.values())} values in {len(rows)} kinds of wires; {len(equal)} kinds equal, opened values "
          + ("equal" if opened == 0 else f"differ by up to {opened}") + (f"; in a smaller ring: {', '.join(smaller)}" if smaller else ""))
    good, listed = not alone and opened == 0, []
    for label, (count, wrong, worst, rings, types) in rows.items():
        bad = 0 if label in side.OTHER_RINGS else types if side.SMALLER_RINGS else rings + types
        good = good and wrong == 0 and bad == 0
        if wrong or bad:
            listed.append(f"{label} {wrong} of {count} by {worst}" + (f" (ring or fraction of {bad} wires)" if bad else ""))
    if listed:
        print("    differ: " + "; ".join(listed))
    for what in sorted(alone):
        print(f"    on one side only: {what}")
    return good


def compare_opened(got, theirs):
    worst = 0
    for step, (logits, squares) in theirs.items():
        for a, b in ((got["opened"][step]["logits"], logits), (got["opened"][step]["squares"], squares)):
            worst = max(worst, int(np.abs(a - b).max()))
    return worst


def compare_costs(side, M, gt, got, costs, first):
    """Layers: ours is never larger in any of rounds, online bytes, dealt bytes, but for guards that the specification does not have."""
    smaller = got["costs"].keys() == costs.keys()
    for (step, layer), mine in sorted(got["costs"].items()):
        n, before = (first, 0) if step == 0 else (1, first + step - 1)
        c = costs[step, layer]
        spec = [c.rounds, c.on, c.off]
        extra = sum(side.guard_bytes(M, gt, l, n, before) for l in ([layer] if layer >= 0 else range(M.L)))
        if layer >= 0:
            smaller = smaller and mine[0] <= spec[0] and mine[1] <= spec[1] and mine[2] - extra <= spec[2]
        if layer <= 0 and step <= 1:
            what = f"prefill of {n} rows" if step == 0 else f"decode step after {before} rows"
            print(f"  {'whole' if layer < 0 else 'layer 0,'} {what}: "
                  f"rounds {mine[0]} (specification {spec[0]}), online bytes {mine[1]} ({spec[1]}), dealt bytes {mine[2]} ({spec[2]})"
                  + (f", {extra} of them for guards that are not there" if extra else ""))
    return smaller


def report_control(what, rows, alarm):
    seen = sum(r[1] > 0 for r in rows.values())
    print(f"  {what}: " + ("the answer is void" if alarm else f"seen in {seen} kinds of wires"))
    return alarm or seen > 0


def one_model(args, path, flags, work, control):
    rows = args.rows
    side = S if "--general" in flags else CHEAP
    M, bos = S.load_model(path)
    tokens = S.PL.samples(M, 1, rows, [bos], seed=7)[0]
    plan, values = os.path.join(work, "plan.json"), os.path.join(work, "values")
    subprocess.run([args.cachet, "plan", "--model", path, "--context", "128", "--out", plan, *flags], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([args.twin, path, plan, values, *map(str, tokens)], check=True)
    got = parse(values)
    with open(plan) as f:
        text = json.load(f)
    P, other = S.make_plan(text, M)
    defer, first = not text["fold"], rows - DECODE_STEPS
    print(f"{os.path.basename(path)} {' '.join(flags) or '(default plan)'}: {first} + {DECODE_STEPS} tokens; {got['violations']} values outside a bound")
    for line in other:
        print("  plan: " + line)

    gt = side.make_gates(M, P)
    ok = report_tables(got["tables"], side.public_tables(M, P, gt, rows))

    def run(tables, groups, change=None):
        gates = side.make_gates(M, P)
        rope = side.substitute(M, gates, tables, groups)
        if change:
            change(gates)
        wires, opened, costs, void = side.run_twin(M, P, gates, rope, tokens, DECODE_STEPS, defer)
        return (*compare_wires(got["wires"], wires), compare_opened(got, opened)), costs, void

    report_wires("the specification's tables", side, *run(got["tables"], ())[0])
    result, costs, void = run(got["tables"], side.GROUPS)
    ok = report_wires("our tables", side, *result) and ok
    for group in side.GROUPS if control else ():
        rows_of = run(perturbed(got["tables"], side.one_unit(P, gt, group)), side.GROUPS)[0][0]
        ok = report_control(f"one unit more in {group}", rows_of, False) and ok
    for what, change in side.CHANGES.items() if control else ():
        (rows_of, *_), _, alarm = run(got["tables"], side.GROUPS, change)
        ok = report_control(what, rows_of, alarm) and ok
    ok = ok and not void and got["violations"] == 0 and not other
    ok = compare_costs(side, M, gt, got, costs, first) and ok
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
    global np, S, CHEAP
    import numpy as np
    import spec_cheap as CHEAP
    import spec_side as S
    if not any(map(os.path.exists, args.models)):
        skip("none of the models is there")
    ok, control = True, {"general": True, "default": True}
    for path in args.models:
        if not os.path.exists(path):
            print(f"{os.path.basename(path)}: not there, left out")
            continue
        for flags in ([], ["--general"], ["--general", "--thin", "--fold"]) if path.endswith("656k") else ([], ["--general"]):
            kind = "general" if flags else "default"
            with tempfile.TemporaryDirectory() as work:
                ok = one_model(args, path, flags, work, control[kind]) and ok
            control[kind] = False
    print("equal" if ok else "NOT equal")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
