"""A decoder layer, and what lies around the layers, as JAX functions for SPU, written the way SPU's authors run language models (PUMA).

Softmax: maximum, exp set to zero below -14, one reciprocal per row. GELU and SiLU: pieces of polynomials. Coefficients: PUMA, arXiv 2307.12533.
A token's place is public: rotations, position rows and the causal mask are constants.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Shape:
    layers: int
    dim: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    gpt2: bool = False  # LayerNorm, GELU, biases and position rows; otherwise RMSNorm, SwiGLU and rotations
    rope_base: float = 10000.0


SHAPES = {
    "gpt2": Shape(12, 768, 12, 12, 64, 3072, 50257, gpt2=True),
    "smollm2-135m": Shape(30, 576, 9, 3, 64, 1536, 49152, rope_base=100000.0),
    "llama-7b": Shape(32, 4096, 32, 32, 128, 11008, 32000),
}

EPSILON = 1e-5
EXP_FLOOR = -14.0
MASKED = -1000.0


def softmax(x):
    x = x - jnp.max(x, axis=-1, keepdims=True)
    weights = jnp.exp(x) * (x > EXP_FLOOR)
    return weights / jnp.sum(weights, axis=-1, keepdims=True)


def gelu(x):
    """0 below -4, a cubic up to -1.95, an even sextic and x / 2 up to 3, x above."""
    below, low, high = x < -4.0, x < -1.95, x > 3.0
    x2 = x * x
    x3, x4 = x * x2, x2 * x2
    cubic = -0.011034134030615728 * x3 - 0.11807612951181953 * x2 - 0.42226581151983866 * x - 0.5054031199708174
    sextic = 0.0018067462606141187 * (x3 * x3) - 0.037688200365904236 * x4 + 0.3603292692789629 * x2 + 0.5 * x + 0.008526321541038084
    return high * x + (below ^ low) * cubic + (low ^ high ^ True) * sextic


def silu(x):
    """0 below -8, a parabola up to -4, an even sextic and x / 2 up to 4, x above."""
    below, low, high = x < -8.0, x < -4.0, x > 4.0
    x2 = x * x
    x4 = x2 * x2
    parabola = -0.0055465625580307 * x2 - 0.0819767021525476 * x - 0.3067541139982155
    sextic = 0.0002743776353465 * (x2 * x4) - 0.011113046708173 * x4 + 0.228143084172827 * x2 + 0.5 * x + 0.0085064025895951
    return high * x + (below ^ low) * parabola + (low ^ high ^ True) * sextic


def product(x, matrix):
    """x: (rows, inputs); matrix: (inputs, outputs), or as `stored` gives it for one row. Returns (rows, outputs).

    SPU's product of one row by a matrix, as flax writes it, takes up to 20 times as long as that of the other order, for the same bytes.
    """
    return (matrix @ x.T).T if x.shape[0] == 1 else x @ matrix


def stored(matrix, rows):
    return np.ascontiguousarray(matrix.T) if rows == 1 and matrix.ndim == 2 else matrix


def layer_norm(x, scale, bias):
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(x * x, axis=-1, keepdims=True) - mean * mean
    return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * scale + bias


def rms_norm(x, scale):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPSILON) * scale


def rotate(x, shape, first):
    """x: (heads, rows, head_dim), its rows at the places first, first + 1, ..."""
    half = shape.head_dim // 2
    angles = np.outer(np.arange(first, first + x.shape[1]), shape.rope_base ** (-np.arange(half) / half))
    cos = np.concatenate([np.cos(angles)] * 2, axis=1).astype(np.float32)
    sin = np.concatenate([np.sin(angles)] * 2, axis=1).astype(np.float32)
    return x * cos + jnp.concatenate([-x[..., half:], x[..., :half]], axis=-1) * sin


def split_heads(x, heads):
    return jnp.swapaxes(x.reshape(x.shape[0], heads, -1), 0, 1)


def attention(q, k, v, context):
    """q: (heads, rows, head_dim); k, v: (kv_heads, context + rows, head_dim). Returns (rows, heads * head_dim)."""
    kv_heads, columns, head_dim = k.shape
    rows = q.shape[1]
    q = (q / np.float32(np.sqrt(head_dim))).reshape(kv_heads, -1, head_dim)
    scores = jnp.einsum("hqd,htd->hqt", q, k).reshape(-1, rows, columns)
    if rows > 1:
        seen = np.tril(np.ones((rows, columns), dtype=bool), context)
        scores = jnp.where(seen, scores, MASKED)
    weights = softmax(scores).reshape(kv_heads, -1, columns)
    read = jnp.einsum("hqt,htd->hqd", weights, v).reshape(-1, rows, head_dim)
    return jnp.swapaxes(read, 0, 1).reshape(rows, -1)


def gpt2_layer(shape, context):
    def layer(x, keys, values, *w):
        scale1, bias1, qkv, qkv_bias, out, out_bias, scale2, bias2, up, up_bias, down, down_bias = w
        q, k, v = (split_heads(t, shape.heads) for t in jnp.split(product(layer_norm(x, scale1, bias1), qkv) + qkv_bias, 3, axis=1))
        read = attention(q, jnp.concatenate([keys, k], 1), jnp.concatenate([values, v], 1), context)
        x = x + product(read, out) + out_bias
        x = x + product(gelu(product(layer_norm(x, scale2, bias2), up) + up_bias), down) + down_bias
        return x, k, v

    d, f = shape.dim, shape.ffn
    return layer, [(d,), (d,), (d, 3 * d), (3 * d,), (d, d), (d,), (d,), (d,), (d, f), (f,), (f, d), (d,)]


def llama_layer(shape, context):
    def layer(x, keys, values, *w):
        scale1, wq, wk, wv, out, scale2, gate, up, down = w
        h = rms_norm(x, scale1)
        q = rotate(split_heads(product(h, wq), shape.heads), shape, context)
        k = rotate(split_heads(product(h, wk), shape.kv_heads), shape, context)
        v = split_heads(product(h, wv), shape.kv_heads)
        read = attention(q, jnp.concatenate([keys, k], 1), jnp.concatenate([values, v], 1), context)
        x = x + product(read, out)
        h = rms_norm(x, scale2)
        return x + product(silu(product(h, gate)) * product(h, up), down), k, v

    d, f, hd = shape.dim, shape.ffn, shape.head_dim
    q, kv = shape.heads * hd, shape.kv_heads * hd
    return layer, [(d,), (d, q), (d, kv), (d, kv), (q, d), (d,), (d, f), (d, f), (f, d)]


def weight(rng, size, rows):
    """Products keep the scale of their input; scales of norms lie near 1, biases near 0."""
    if len(size) == 1:
        return rng.normal(0.0, 0.02, size).astype(np.float32)
    return stored(rng.standard_normal(size, dtype=np.float32) / np.float32(np.sqrt(size[0])), rows)


def layer(shape, context, rows):
    """One decoder layer over `rows` new rows after `context` cached ones. Returns the function and a maker of its inputs."""
    function, sizes = (gpt2_layer if shape.gpt2 else llama_layer)(shape, context)
    cache = (shape.kv_heads, context, shape.head_dim)
    scales = (0, 6) if shape.gpt2 else (0, 5)

    def inputs():
        rng = np.random.default_rng(1)
        arrays = [rng.standard_normal(s, dtype=np.float32) for s in ((rows, shape.dim), cache, cache)]
        return arrays + [weight(rng, s, rows) + (1 if i in scales else 0) for i, s in enumerate(sizes)]

    if context == 0:  # SPU takes no empty arrays
        empty = np.zeros(cache, np.float32)
        return lambda x, *w: function(x, empty, empty, *w), lambda: [a for a in inputs() if a.size]
    return function, inputs


def embedding(shape, context, rows, by_id):
    """Rows of the embedding by a product with one-hot rows: shared as such, or made of a shared token by equality tests (by_id)."""
    vocab = np.arange(shape.vocab, dtype=np.int32)

    def embed(tokens, table, *places):
        one_hot = (tokens[:, None] == vocab).astype(jnp.float32) if by_id else tokens
        embedded = product(one_hot, table)
        return embedded + places[0] if places else embedded

    def inputs():
        rng = np.random.default_rng(2)
        ids = rng.integers(0, shape.vocab, rows, dtype=np.int32)
        tokens = ids if by_id else (ids[:, None] == vocab).astype(np.float32)
        table = stored(rng.standard_normal((shape.vocab, shape.dim), dtype=np.float32), rows)
        return [tokens, table] + ([rng.standard_normal((rows, shape.dim), dtype=np.float32)] if shape.gpt2 else [])

    return embed, inputs


def head(shape, rows, argmax):
    """The final norm and the logits of `rows` rows; with argmax also the token of the last one, still shared."""

    def finish(x, matrix, *norm):
        logits = product((layer_norm if shape.gpt2 else rms_norm)(x, *norm), matrix)
        return (logits, jnp.argmax(logits[-1])) if argmax else logits

    def inputs():
        rng = np.random.default_rng(3)
        x = rng.standard_normal((rows, shape.dim), dtype=np.float32)
        norm = [weight(rng, (shape.dim,), rows) + 1] + ([weight(rng, (shape.dim,), rows)] if shape.gpt2 else [])
        return [x, weight(rng, (shape.dim, shape.vocab), rows), *norm]

    return finish, inputs
