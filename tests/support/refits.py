"""Refits in no time: which fits a protocol makes, and where, are other tests' matters."""

import dataclasses

import pytest

from scale_tune.dfr import protocols
from scale_tune.search import side_by_side


def make_few_fits(patched: pytest.MonkeyPatch) -> None:
    """Two values of C are tried, and one fit is made at the chosen one."""
    few = {name: dataclasses.replace(recipe, C=recipe.C[2:4], fits=1) for name, recipe in protocols.RECIPES.items()}
    patched.setattr(protocols, "RECIPES", few)


def make_few_fits_here(patched: pytest.MonkeyPatch) -> None:
    """In this process, one after another, instead of on Ray's workers."""
    make_few_fits(patched)
    patched.setattr(side_by_side, "side_by_side", lambda calls, address: (call() for call in calls))
