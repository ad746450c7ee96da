"""A comparison of as many methods as a paper has: twelve, and refits."""

from scale_tune.analysis.entries import RunTables
from scale_tune.spec.config import DfrProtocol
from tests.support.tables import dfr_row, group_rows, make_spec, make_tables, trial

METHODS = {
    "erm": 20,
    "jtt": 46,
    "rwy": 24,
    "suby": 22,
    "erm_target": 52,
    "erm_all": 41,
    "finetune": 63,
    "projection": 61,
    "scale": 68,
    "rwg": 58,
    "group_dro": 64,
    "group_dro_with_target": 66,
}
"""Of 100 conflicting images, how many the second of three seeds has right on val."""


def twelve() -> RunTables:
    """Each method with a selected trial, ERM's and the pretrained network refitted by every protocol."""
    trials, groups = [], []
    for method, right in METHODS.items():
        name = f"{method}-00009"
        trials.append(trial(name, right / 100))
        for split, less in (("val", 0), ("test", 3)):
            counts = [right - less - 4, right - less, right - less + 5]
            groups += group_rows(name, split, counts, [93 - less, 95 - less, 96 - less])
    dfr = [
        dfr_row("erm-00009", seed, 0.5, 0.45 + 0.02 * seed, protocol)
        for protocol in (DfrProtocol.SCALE, DfrProtocol.DFR)
        for seed in range(3)
    ]
    dfr.append(dfr_row(None, None, 0.4, 0.38))
    variant = {"variant_of": "group_dro", "space": {"with_target": True}}
    methods = {method: {} for method in METHODS} | {"group_dro_with_target": variant}
    return make_tables(trials, groups, dfr, name="demo", spec=make_spec(methods=methods))
