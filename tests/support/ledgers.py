"""Ledgers filled without training: a loop takes the part of the workers, a formula that of the objectives."""

import math
from pathlib import Path

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerTrial
from scale_tune.spec.space import RunSpec

SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "momentum": {"type": "float", "low": 0.0, "high": 0.99},
    "batch_size": {"type": "int", "low": 8, "high": 64},
    "weight_decay": {"type": "choice", "values": [1e-4, 1e-3]},
}
SCALE = {"scale": {"space": {"group_size": {"type": "int", "low": 1, "high": 64, "log": True}}}}


def spec(**options) -> RunSpec:
    fields = {"methods": ["erm"], "space": SPACE, "num_samples": 16, "epochs": 3, "scheduler": {"name": "none"}}
    return RunSpec.model_validate(fields | options)


def goodness(params: dict) -> float:
    """Best at lr 0.01, momentum 0.5 and batch size 24."""
    return (
        1
        - (math.log10(params["lr"]) + 2) ** 2 / 4
        - (params["momentum"] - 0.5) ** 2
        - (params.get("batch_size", 24) - 24) ** 2 / 3200
    )


def advance(ledger: Ledger, trial: LedgerTrial, epochs: int) -> None:
    """One epoch, if there is one left."""
    epoch = min(len(ledger.trial(trial.name).objectives) + 1, epochs)
    curve = [goodness(trial.params) - 0.1 / n for n in range(1, epoch + 1)]
    if not ledger.report(trial.name, curve, finished=epoch == epochs) and epoch == epochs:
        ledger.complete(trial.name)


def search(path: Path, spec: RunSpec, kill=lambda ledger: False) -> Ledger:
    """Train up to three trials at a time, with a new ledger after each kill."""
    while True:
        ledger = Ledger(path, spec)
        running: list[LedgerTrial] = []
        while not ledger.done:
            while len(running) < 3 and (trial := ledger.next_trial()) is not None:
                running.append(trial)
            for trial in running:
                advance(ledger, trial, spec.epochs)
            running = [trial for trial in running if not ledger.trial(trial.name).state.ended]
            if kill(ledger):
                break
        else:
            return ledger
