"""Flags that all SPU measurements share, and how rows are printed and kept."""

import argparse
import json
import os
import sys

from spu_session import EXP_MODES, HERE, Piece

COLUMNS = ("work", "context", "rows", "exp", "link", "median s", "first s", "MB", "MB per party", "rounds", "GB per party", "error")


def parser(description):
    p = argparse.ArgumentParser(description=description, allow_abbrev=False)
    p.add_argument("--exp", default="pade,taylor", help="pade, taylor or both: how exp is approximated (default %(default)s)")
    p.add_argument("--link", default="loopback", help="a link of `cachet relay`: a name or rtt=MS:mbit=N (default %(default)s)")
    p.add_argument("--repeats", type=int, default=3, help="runs after the first one (default %(default)s)")
    p.add_argument("--slope", type=float, metavar="RTT", help="estimate rounds also from the slope of time against the round trip, in ms")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a field of SPU's RuntimeConfig; may be repeated")
    p.add_argument("--divide-elements", action="store_true", help="one division per element, SPU's default, instead of one reciprocal per row")
    p.add_argument("--json", metavar="FILE", help="write the rows there")
    p.add_argument("--cachet", default=os.path.join(HERE, "../../build/cachet"), help="the program with the relay (default %(default)s)")
    return p


def parse(p, arguments=None):
    """Flags, checked: bad ones end the program with one line."""
    options = p.parse_args(arguments)
    options.exp = options.exp.split(",")
    for name in options.exp:
        if name not in EXP_MODES:
            p.error(f"--exp {name}: give {' or '.join(EXP_MODES)}")
    if options.repeats < 1:
        p.error(f"--repeats {options.repeats}: give 1 or more")
    if options.slope is not None and options.slope <= 0:
        p.error(f"--slope {options.slope}: give a round-trip time above 0 ms")
    if not os.access(options.cachet, os.X_OK):
        p.error(f"--cachet {options.cachet}: no such program; build cachet or give its path")
    options.extra = dict(pair(p, text) for text in options.set)
    return options


def pair(p, text):
    key, sign, value = text.partition("=")
    if not sign:
        p.error(f"--set {text}: give KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def piece(options, exp, name, work, **more):
    """A piece of work under the flags. work: the function and the maker of its inputs."""
    settings = {**EXP_MODES[exp], **options.extra}
    return Piece(name, *work, settings, divide_rows=not options.divide_elements, **more)


def sum_rows(parts):
    """One row of several, each so many times: [(times, row)]. Rounds, bytes and seconds add up; memory is the largest."""
    total = {"composition": " + ".join(row["work"] if n == 1 else f"{n} x {row['work']}" for n, row in parts)}
    total["median_seconds"] = round(sum(n * row["median_seconds"] for n, row in parts), 4)
    total["bytes"] = sum(n * row["bytes"] for n, row in parts)
    total["bytes_sent"] = [sum(n * row["bytes_sent"][p] for n, row in parts) for p in range(3)]
    if all("rounds" in row for _, row in parts):
        total["rounds"] = sum(n * row["rounds"] for n, row in parts)
    if all("rounds_by_slope" in row for _, row in parts):
        total["rounds_by_slope"] = sum(n * row["rounds_by_slope"] for n, row in parts)
    total["peak_rss_bytes"] = [max(row["peak_rss_bytes"][p] for _, row in parts) for p in range(3)]
    return total


def program(main):
    """Runs main; what goes wrong underneath is one message instead of a trace."""
    try:
        return main()
    except (RuntimeError, ValueError, OSError) as error:
        print(f"spu: {error}", file=sys.stderr)
        return 1


def print_header():
    print(f"{'work':<28}" + "".join(f"{c:>{13 if c != 'MB per party' else 22}}" for c in COLUMNS[1:]), flush=True)


def print_row(row):
    start = f"{row['work']:<28}{row.get('context', ''):>13}{row.get('rows', ''):>13}{row['exp']:>13}{row['link']:>13}"
    if "missing" in row:
        print(f"{start}   missing: {row['missing']}", flush=True)
        return
    first = f"{row['first_seconds']:.2f}" if "first_seconds" in row else ""
    error = f"{row['max_error']:.1e}" if "max_error" in row else ""
    parties = " ".join(f"{b / 1e6:.2f}" for b in row["bytes_sent"])
    memory = " ".join(f"{b / 1e9:.1f}" for b in row["peak_rss_bytes"])
    print(
        f"{start}{row['median_seconds']:>13.3f}{first:>13}{row['bytes'] / 1e6:>13.2f}{parties:>22}{row.get('rounds', ''):>13}"
        f"{memory:>13}{error:>13}",
        flush=True,
    )
    if "composition" in row:
        print(f"    = {row['composition']}", flush=True)


def begin(options, title):
    """Prints the title and the header; returns what prints a row, keeps it with those before it, and gives it back."""
    rows = []

    def keep(row):
        rows.append(row)
        print_row(row)
        write(options.json, rows)
        return row

    print(f"SPU{title} three processes, ABY3, 64-bit ring; bytes as sent on the wire", flush=True)
    print_header()
    return keep


def write(path, rows):
    if path:
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"rows": rows}, out, indent=1)
            out.write("\n")
