"""Measures on SPU the operators of MPCache at the sizes of its paper: 32 heads of 32 channels, 512 cached rows, clusters of 16, 3 of them kept."""

import sys

import jax.numpy as jnp
import numpy as np
import spu_model
import spu_table
from jax import lax
from spu_session import measure, row_head

HEADS, DIM, ROWS, UNIT = 32, 32, 512, 16
CLUSTERS, PICKED = ROWS // UNIT, 3
KEPT = PICKED * UNIT


def scores(q, k):
    return q @ jnp.swapaxes(k, -1, -2)


def read(weights, v):
    return weights @ v


def top_clusters(similarity):
    """The indices of the clusters to keep: what the gather takes."""
    return lax.top_k(similarity, PICKED)[1]


def gather(one_hot, rows):
    """Whole clusters by products with one-hot rows over clusters."""
    return (one_hot @ rows.reshape(HEADS, CLUSTERS, UNIT * DIM)).reshape(HEADS, KEPT, DIM)


def one_hot_of(index):
    return (index[..., None] == np.arange(CLUSTERS, dtype=np.int32)).astype(jnp.float32)


def gather_by_index(index, rows):
    return gather(one_hot_of(index), rows)


def normal(*size):
    return np.random.default_rng(4).standard_normal(size, dtype=np.float32)


def similarities():
    """Distinct by rounding to a fine grid: equal ones could be ranked either way."""
    rng = np.random.default_rng(5)
    return np.stack([rng.permutation(CLUSTERS) for _ in range(HEADS)]).astype(np.float32) / 16


def picks():
    rng = np.random.default_rng(6)
    return np.stack([rng.permutation(CLUSTERS)[:PICKED] for _ in range(HEADS)]).astype(np.int32)


OPERATORS = {
    f"softmax over {ROWS}": (spu_model.softmax, lambda: [normal(HEADS, 1, ROWS)]),
    f"softmax over {KEPT}": (spu_model.softmax, lambda: [normal(HEADS, 1, KEPT)]),
    f"q.K, {ROWS} rows": (scores, lambda: [normal(HEADS, 1, DIM), normal(HEADS, ROWS, DIM)]),
    f"q.K, {KEPT} rows": (scores, lambda: [normal(HEADS, 1, DIM), normal(HEADS, KEPT, DIM)]),
    f"weights.V, {ROWS} rows": (read, lambda: [normal(HEADS, 1, ROWS), normal(HEADS, ROWS, DIM)]),
    f"weights.V, {KEPT} rows": (read, lambda: [normal(HEADS, 1, KEPT), normal(HEADS, KEPT, DIM)]),
    f"similarity, {CLUSTERS} clusters": (scores, lambda: [normal(HEADS, 1, DIM), normal(HEADS, CLUSTERS, DIM)]),
    f"top {PICKED} of {CLUSTERS}": (top_clusters, lambda: [similarities()]),
    f"gather {PICKED} clusters": (gather_by_index, lambda: [picks(), normal(HEADS, ROWS, DIM)]),
}

# Of what one step of attention consists: (times, operator). A gather moves keys or values.
STEPS = {
    "full attention step": ((1, f"q.K, {ROWS} rows"), (1, f"softmax over {ROWS}"), (1, f"weights.V, {ROWS} rows")),
    "MPCache dynamic step": (
        (1, f"similarity, {CLUSTERS} clusters"),
        (1, f"top {PICKED} of {CLUSTERS}"),
        (2, f"gather {PICKED} clusters"),
        (1, f"q.K, {KEPT} rows"),
        (1, f"softmax over {KEPT}"),
        (1, f"weights.V, {KEPT} rows"),
    ),
}


def main():
    options = spu_table.parse(spu_table.parser(__doc__))
    keep = spu_table.begin(options, f": {HEADS} heads of {DIM}, {ROWS} rows;")
    for exp in options.exp:
        measured = {}
        for name, work in OPERATORS.items():
            piece = spu_table.piece(options, exp, name, work, ordered=not name.startswith("top"))  # its top-k leaves the kept ones unsorted
            head = row_head(piece, options, options.link) | {"work": name, "exp": exp}
            measured[name] = keep(head | measure(piece, options, options.link))
        for name, parts in STEPS.items():
            if any("missing" in measured[p] for _, p in parts):
                continue
            head = row_head(piece, options, options.link) | {"work": name, "exp": exp}
            keep(head | spu_table.sum_rows([(n, measured[p]) for n, p in parts]))
    return 0


if __name__ == "__main__":
    sys.exit(spu_table.program(main))
