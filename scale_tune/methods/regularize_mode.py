"""The names of SCALE's task weights; :mod:`scale_tune.methods.gradients` has the functions."""

from enum import StrEnum


class RegularizeMode(StrEnum):
    """SCALE's task weight w as a function of c = cos(g_tr, g_tg), numbered in this order in scripts, from 0."""

    LINEAR = "linear"
    """w = (c + 1) / 2"""
    RELU = "relu"
    """w = max(c, 0)"""
    IDENTITY = "identity"
    """w = c"""
    STEP = "step"
    """w = 1 if c > 0 else 0"""
    CONSTANT = "constant"
    """w is a number of its own, the same for all c: SCALE's null hypothesis"""
