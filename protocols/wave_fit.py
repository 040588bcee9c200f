"""Prints the public coefficients of protocols/wave.c: the even part psi of SiLU and GELU, psi(g) = f(g) - g / 2, as an even function of period P with
psi(P/2 - g) = const - psi(g), so as c0 + sum of A_n cos(n w g) over odd n, w = 2 pi / P: least squares made minimax by Lawson's weights.

    python3 protocols/wave_fit.py > table
"""
import math

import numpy as np

POINTS, ROUNDS = 4001, 80


def silu_half(g):
    return g / (1 + np.exp(-g)) - g / 2


def gelu_half(g):
    """The tanh form, as gelu_new of GPT-2."""
    return 0.5 * g * np.tanh(math.sqrt(2 / math.pi) * (g + 0.044715 * g ** 3))


def fit(psi, period, span, harmonics):
    x = np.linspace(0, span, POINTS)
    n, w, weight = 2 * np.arange(harmonics) + 1, 2 * np.pi / period, np.ones(POINTS)
    basis, want = np.concatenate([np.ones((POINTS, 1)), np.cos(x[:, None] * w * n)], 1), psi(x)
    for _ in range(ROUNDS):
        root = np.sqrt(weight)
        c = np.linalg.lstsq(basis * root[:, None], want * root, rcond=1e-11)[0]
        error = np.abs(basis @ c - want)
        weight = weight * (error + 1e-3 * error.max())
        weight /= weight.sum()
    return c, error.max()


for name, psi, period, span, harmonics in (("SILU", silu_half, 64, 22.5, 15), ("SILU", silu_half, 32, 7.5, 8),
                                           ("GELU", gelu_half, 64, 26, 18), ("GELU", gelu_half, 32, 11, 10)):
    c, error = fit(psi, period, span, harmonics)
    values = ", ".join(float(v).hex() for v in c[1:])
    print(f"{{SEC_CURVE_{name}, {period}, {span}, {harmonics}, {float(error).hex()}, {float(c[0]).hex()}, {{{values}}}}},")
