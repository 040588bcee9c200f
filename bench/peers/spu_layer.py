"""Measures a language model on SPU piece by piece: a decoder layer, the embedding, the head; and adds a whole token up."""

import sys

import spu_model
import spu_table
from spu_session import measure, row_head


def arguments():
    p = spu_table.parser(__doc__)
    p.add_argument("--shape", default="gpt2", help=f"{', '.join(spu_model.SHAPES)} (default %(default)s)")
    p.add_argument("--context", default="512", help="cached rows before the new ones, several by commas (default %(default)s)")
    p.add_argument("--rows", type=int, default=1, help="new rows at once, under a causal mask (default %(default)s)")
    p.add_argument("--work", default="layer,embedding,head", help="which pieces to measure (default %(default)s)")
    p.add_argument("--embedding", default="onehot", help="onehot: the client shares one-hot rows; id: it shares tokens, tested for equality (PUMA)")
    p.add_argument("--head-rows", default="last", help="last or all: rows that get logits (default %(default)s)")
    p.add_argument("--argmax", action="store_true", help="the head also picks the token, still shared")
    options = spu_table.parse(p)
    if options.shape not in spu_model.SHAPES:
        p.error(f"--shape {options.shape}: give {', '.join(spu_model.SHAPES)}")
    try:
        options.contexts = [int(t) for t in options.context.split(",")]
    except ValueError:
        p.error(f"--context {options.context}: give whole numbers")
    if options.rows < 1 or min(options.contexts) < 0:
        p.error(f"--rows {options.rows} --context {options.context}: give 1 or more rows and 0 or more cached ones")
    options.work = options.work.split(",")
    for name, value, known in (
        ("--embedding", options.embedding, ("onehot", "id")),
        ("--head-rows", options.head_rows, ("last", "all")),
        *(("--work", w, ("layer", "embedding", "head")) for w in options.work),
    ):
        if value not in known:
            p.error(f"{name} {value}: give {', '.join(known)}")
    return options


def head_rows(options):
    return options.rows if options.head_rows == "all" else 1


def make(options, work, context):
    """The function and inputs of a piece, and its name: what else than its kind sets its cost."""
    shape = spu_model.SHAPES[options.shape]
    if work == "layer":
        return "layer", spu_model.layer(shape, context, options.rows)
    if work == "embedding":
        return f"embedding by {options.embedding}", spu_model.embedding(shape, context, options.rows, options.embedding == "id")
    return "head and argmax" if options.argmax else "head", spu_model.head(shape, head_rows(options), options.argmax)


def run_piece(options, work, context, exp):
    name, (function, inputs) = make(options, work, context)
    piece = spu_table.piece(options, exp, name, (function, inputs))
    row = row_head(piece, options, options.link)
    row |= {"work": name, "shape": options.shape, "rows": head_rows(options) if work == "head" else options.rows, "exp": exp}
    if work == "layer":
        row["context"] = context
    return row | measure(piece, options, options.link)


def token(options, layer, outside):
    """The whole of it: what is measured once for all layers times their number."""
    parts = [(1, r) for r in outside if r["work"].startswith("embedding")]
    parts += [(spu_model.SHAPES[options.shape].layers, layer)]
    parts += [(1, r) for r in outside if r["work"].startswith("head")]
    shared = ("peer", "version", "commit", "settings", "compiler", "link", "repeats", "shape", "rows", "exp", "context")
    return {k: layer[k] for k in shared} | {"work": "token" if options.rows == 1 else "forward"} | spu_table.sum_rows(parts)


def main():
    options = arguments()
    keep = spu_table.begin(options, f", {options.shape}:")
    # No exp in these: measured once for all.
    outside = [keep(run_piece(options, w, 0, options.exp[0])) for w in ("embedding", "head") if w in options.work]
    for exp in options.exp:
        for context in options.contexts if "layer" in options.work else []:
            layer = keep(run_piece(options, "layer", context, exp))
            if len(outside) == 2 and not any("missing" in r for r in [layer, *outside]):
                keep(token(options, layer, outside))
    return 0


if __name__ == "__main__":
    sys.exit(spu_table.program(main))
