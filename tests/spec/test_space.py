from functools import partial
from pathlib import Path

import pytest
import yaml

from scale_tune.errors import UserError
from scale_tune.spec import loading
from scale_tune.spec.loading import validate_spec
from scale_tune.spec.parameters import Choice, Constant, FloatRange
from scale_tune.spec.plan import print_plan
from scale_tune.spec.space import RunSpec
from scale_tune.spec.yamlfile import parse_yaml
from scale_tune.storage.rundir import plain_spec
from scale_tune.workflows.resolving import preparation, resolved
from tests.conftest import REPOSITORY

load_spec = partial(loading.load_spec, check=resolved)
SHIPPED = sorted((REPOSITORY / "search_spaces").glob("*.yaml"))

MINIMAL = """\
dataset: {name: digits}
methods:
  erm:
  scale:
    epochs: 7
    space:
      group_size: {type: choice, values: [1, 4]}
space:
  lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  batch_size: {type: choice, values: [16, 32]}
  momentum: 0.8
epochs: 5
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(MINIMAL)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_space_that_ships_is_valid(path):
    spec = load_spec(path)
    assert spec.methods


def test_a_grid_needs_values(file):
    with pytest.raises(UserError, match="space.lr: the grid sampler needs the values themselves"):
        load_spec(file, {"sampler": "grid"})


def test_a_method_has_the_shared_space_and_its_own(file):
    spec = load_spec(file)
    assert set(spec.method_space("erm")) == {"lr", "batch_size", "momentum"}
    assert set(spec.method_space("scale")) == {"lr", "batch_size", "momentum", "group_size", "regularize_mode"}
    assert spec.space["lr"] == FloatRange(type="float", low=1e-3, high=1e-1, log=True)
    assert spec.space["momentum"] == Constant(type="constant", value=0.8)
    assert spec.methods["scale"].space["group_size"] == Choice(type="choice", values=(1, 4))


def test_a_method_may_have_its_own_epochs(file):
    spec = load_spec(file)
    assert (spec.method_epochs("erm"), spec.method_epochs("scale")) == (5, 7)


def test_a_trials_config_has_drawn_and_constant_values(file):
    config = load_spec(file).trial_config("scale", {"lr": 0.01, "batch_size": 32, "group_size": 4})
    assert config.hyperparameters.lr == 0.01
    assert config.hyperparameters.momentum == 0.8
    assert config.options == {"group_size": 4, "regularize_mode": "linear"}
    assert config.epochs == 7


def test_data_options_can_be_searched(file):
    spec = load_spec(file, {"space.dataset.spurious_strength": {"type": "choice", "values": [0.9, 1.0]}})
    drawn = {"lr": 0.01, "batch_size": 32, "dataset.spurious_strength": 0.9}
    assert spec.trial_config("erm", drawn).dataset.options["spurious_strength"] == 0.9


def test_methods_may_be_a_plain_list(file):
    file.write_text("methods: [erm, scale]")
    assert list(load_spec(file).methods) == ["erm", "scale"]


def test_a_spec_survives_being_written_and_read(file):
    spec = load_spec(file)
    text = yaml.safe_dump(plain_spec(spec))
    assert validate_spec(parse_yaml(text, "f")[0], {}, "f") == spec


def test_overrides_replace_what_the_file_says(file):
    spec = load_spec(file, {"epochs": 2, "scheduler.name": "none", "space.lr.low": 1e-2, "space.batch_size": 8})
    assert spec.epochs == 2
    assert spec.scheduler.name == "none"
    assert spec.space["lr"].extremes() == (1e-2, 1e-1)
    assert spec.space["batch_size"] == Constant(type="constant", value=8)


def test_epochs_for_all_replace_a_methods_own(file):
    spec = load_spec(file, epochs=2)
    assert {spec.method_epochs(method) for method in spec.methods} == {2}


def test_chosen_methods_keep_what_the_file_says_of_them(file):
    spec = load_spec(file, methods=["scale", "erm_target"])
    assert list(spec.methods) == ["scale", "erm_target"]
    assert spec.method_epochs("scale") == 7


MISTAKES = [
    pytest.param(
        "epochs: 5",
        "epoch: 5",
        r":12: epoch: unknown key; did you mean 'epochs'\?; docs/keys.md explains every key",
        id="unknown key",
    ),
    pytest.param("epochs: 7", "epoch: 7", r":5: methods.scale.epoch: .*did you mean 'epochs'", id="unknown nested key"),
    pytest.param(
        "name: digits",
        "name: digit",
        r":1: dataset: there is no dataset 'digit'; did you mean 'digits'",
        id="dataset",
    ),
    pytest.param("  erm:", "  ermm:", r":3: methods.ermm: there is no method 'ermm'; did you mean 'erm'", id="method"),
    pytest.param("  lr:", "  lrr:", r":9: space.lrr: unknown parameter; did you mean 'lr'", id="parameter"),
    pytest.param("low: 1e-3", "low: 1", r":9: space.lr.low: low 1.0 is above high 0.1; swap", id="inverted"),
    pytest.param("low: 1e-3", "low: 1e-1", r":9: space.lr.low: the range is empty", id="empty range"),
    pytest.param("low: 1e-3", "low: '1e-3'", r":9: space.lr.low: .*number.*'1e-3'.*remove", id="quoted"),
    pytest.param("low: 1e-3", "low: 0", r":9: space.lr.low: a logarithmic range must lie above 0", id="log of 0"),
    pytest.param("log: true", "log: 3", r":9: space.lr.log: must be a valid boolean, got 3", id="flag"),
    pytest.param(
        "type: float",
        "type: flaot",
        r":9: space.lr: needs a type of float, .*got 'flaot'",
        id="type",
    ),
    pytest.param("[16, 32]", "[]", r":10: space.batch_size.values: there is nothing to choose", id="no choices"),
    pytest.param("[16, 32]", "[16, 16]", r":10: space.batch_size.values: 16 stands twice", id="same choice"),
    pytest.param("[16, 32]", "[16, x]", r":10: space.batch_size: must be a valid integer, got 'x'", id="choice type"),
    pytest.param(
        "[16, 32]", "[1, 32]", r":10: space.batch_size: .*greater than or equal to 2, got 1", id="choice value"
    ),
    pytest.param("0.8", "1.5", r":11: space.momentum: must be less than 1, got 1.5", id="constant out of range"),
    pytest.param(
        "  momentum: 0.8",
        "  group_size: 4",
        r":11: space.group_size: only scale has this; move it to methods.scale.space",
        id="of scale",
    ),
    pytest.param("epochs: 5", "epochs: 0", r":12: epochs: must be greater than or equal to 1, got 0", id="no epochs"),
    pytest.param("epochs: 5", "epochs: yes", r":12: epochs: must be a valid integer, got 'yes'", id="yes"),
    pytest.param("epochs: 5", "epochs: true", r":12: epochs: must be a valid integer, got True", id="true"),
    pytest.param("epochs: 5", "seeds: [0, 0]", r":12: seeds: 0 stands twice", id="same seed"),
    pytest.param("epochs: 5", "seeds: 0", r":12: seeds: must be a list, got 0", id="seeds no list"),
    pytest.param(MINIMAL, "epochs: 5", r": methods: is missing", id="no methods"),
    pytest.param(MINIMAL, "methods: []", r":1: methods: no method is listed", id="empty methods"),
    pytest.param("epochs: 5", "float: 5", r":12: float: unknown key", id="key named as a type"),
    pytest.param("name: digits", "name: digits, seed: -1", r":1: dataset.seed: .*got -1", id="data option"),
    pytest.param(
        "{name: digits}",
        "digits",
        r":1: dataset: must be a mapping, got 'digits'; write {name: digits}",
        id="a name alone",
    ),
    pytest.param(MINIMAL, "methods: [[erm]]", r"a method's name is of small letters", id="method no name"),
    pytest.param(MINIMAL, "- 1", r"must be a mapping of keys", id="no mapping"),
    pytest.param(MINIMAL, "", r"must be a mapping of keys", id="empty file"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_a_mistake_is_named_with_file_line_and_remedy(file, old, new, message):
    assert old in MINIMAL
    file.write_text(MINIMAL.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        load_spec(file)
    assert str(file) in str(error.value)


POINTS = (
    MINIMAL
    + """\
try_first:
- lr: 1e-2
  batch_size: 16
- {lr: 1e-1}
"""
)

POINT_MISTAKES = [
    pytest.param(
        "batch_size: 16\n", "batch_sise: 16\n", r":15: try_first.0.batch_sise: .*did you mean 'batch_size'", id="name"
    ),
    pytest.param(
        "lr: 1e-2", "momentum: 0.8", r":14: try_first.0.momentum: erm has it fixed at 0.8; leave it", id="fixed"
    ),
    pytest.param(
        "lr: 1e-2", "lr: 1", r":14: try_first.0.lr: erm needs a number from 0.001 to 0.1 here, got 1;", id="range"
    ),
    pytest.param(
        "lr: 1e-2", "lr: '1e-2'", r":14: try_first.0.lr: .*got '1e-2' \(a number in quotes is text", id="text"
    ),
    pytest.param("lr: 1e-2", "lr: true", r":14: try_first.0.lr: .*got True", id="flag"),
    pytest.param("lr: 1e-2", "lr: [1e-2]", r":14: try_first.0.lr: .*got \[0.01\]", id="list"),
    pytest.param("lr: 1e-2", "lr:", r":14: try_first.0.lr: .*got None", id="nothing"),
    pytest.param(
        "batch_size: 16\n",
        "batch_size: 24\n",
        r":15: try_first.0.batch_size: .* one of 16, 32 here, got 24",
        id="choice",
    ),
    pytest.param(
        "- {lr: 1e-1}", "- {batch_size: 16, lr: 0.01}", r":16: try_first.1: the same point stands twice", id="twice"
    ),
    pytest.param("- {lr: 1e-1}", "- {}", r":16: try_first.1: the point has no value", id="empty"),
    pytest.param(
        "epochs: 5", "sampler: points", r":16: try_first.1: .*draws nothing; give batch_size as well", id="not whole"
    ),
    pytest.param("- {lr: 1e-1}", "- 3", r":16: try_first.1: must be a mapping, got 3", id="no mapping"),
    pytest.param(
        "epochs: 5", "num_samples: 1", r":13: try_first: 2 points are more than the 1 trials of erm", id="too many"
    ),
    pytest.param(
        "lr: 1e-2",
        "group_size: 4",
        r":14: try_first.0.group_size: erm has no such parameter; .*of its own",
        id="scale's",
    ),
    pytest.param(
        "    space:\n",
        "    try_first: [{group_size: 2}]\n    space:\n",
        r":6: methods.scale.try_first.0.group_size: scale needs one of 1, 4 here, got 2$",
        id="own choice",
    ),
    pytest.param(
        "    space:\n",
        "    space:\n      lr: 0.05\n",
        r":15: try_first.0.lr: scale has it fixed at 0.05; .*; scale may have a try_first of its own",
        id="own constant",
    ),
    pytest.param(
        "    space:\n",
        "    space:\n      lr: {type: float, low: 2e-2, high: 1e-1}\n",
        r":15: try_first.0.lr: scale needs a number from 0.02 to 0.1 here, got 0.01",
        id="own range",
    ),
    pytest.param(
        "  lr: {type: float, low: 1e-3, high: 1e-1, log: true}",
        "  lr: {type: int, low: 1, high: 3}",
        r":14: try_first.0.lr: erm needs a whole number from 1 to 3 here, got 0.01",
        id="not whole",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), POINT_MISTAKES)
def test_a_wrong_point_is_named_with_file_line_and_remedy(file, old, new, message):
    assert old in POINTS
    file.write_text(POINTS.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        load_spec(file)
    assert str(file) in str(error.value)


def test_points_are_kept_and_a_methods_own_replace_the_shared(file):
    file.write_text(POINTS.replace("    epochs: 7\n", "    epochs: 7\n    try_first: [{group_size: 4, lr: 0.1}]\n"))
    spec = load_spec(file)
    assert spec.method_points("erm") == ({"lr": 0.01, "batch_size": 16}, {"lr": 0.1})
    assert spec.method_points("scale") == ({"group_size": 4, "lr": 0.1},)
    text = yaml.safe_dump(plain_spec(spec))
    assert validate_spec(parse_yaml(text, "f")[0], {}, "f") == spec


def test_a_whole_number_is_a_point_of_a_float_range(file):
    file.write_text(MINIMAL.replace("high: 1e-1", "high: 1") + "try_first: [{lr: 1}]\n")
    assert load_spec(file).method_points("erm") == ({"lr": 1},)
    with pytest.raises(UserError, match="try_first.0.lr: .*got True"):
        load_spec(file, {"try_first": [{"lr": True}]})


def test_a_grid_takes_no_points(file):
    file.write_text(
        POINTS.replace("{type: float, low: 1e-3, high: 1e-1, log: true}", "{type: choice, values: [0.1, 0.01]}")
    )
    with pytest.raises(UserError, match=r":13: try_first: a grid has every point anyway"):
        load_spec(file, {"sampler": "grid"})


@pytest.mark.parametrize("sampler", ["cmaes", "gp", "qmc"])
def test_samplers_of_numbers_need_a_range(file, sampler):
    file.write_text(MINIMAL.replace("    space:\n", "    space:\n      lr: 0.05\n") + f"sampler: {sampler}\n")
    with pytest.raises(UserError, match=rf":14: sampler: {sampler} needs a .* none for scale; add a float or an int"):
        load_spec(file)
    with pytest.raises(UserError, match=r"command line: sampler: .* none for erm, scale; "):
        load_spec(file, {"sampler": sampler, "space.lr": 0.1})


@pytest.mark.parametrize(
    ("scheduler", "line"),
    [
        ("asha", "scheduler  asha (from epoch 2, best 1/3 go on)"),
        ("hyperband", "scheduler  hyperband (brackets from epoch erm: 2; scale: 2, 6; best 1/3 go on)"),
        ("median", "scheduler  median (from epoch 2, above the median of the complete trials go on)"),
        ("none", "scheduler  none"),
    ],
)
def test_the_plan_shows_how_a_search_draws_and_stops(file, capsys, scheduler, line):
    file.write_text(POINTS.replace("    epochs: 7\n", "    epochs: 7\n    try_first: [{group_size: 4}, {lr: 0.1}]\n"))
    spec = load_spec(file, {"sampler": "qmc", "scheduler.name": scheduler, "scheduler.grace_period": 2})
    print_plan(spec, preparation(spec))
    lines = capsys.readouterr().out.splitlines()
    assert line in lines
    assert "sampler    qmc" in lines
    assert [line for line in lines if line.startswith("try first")] == [
        "try first  erm: lr=0.01 batch_size=16",
        "try first  erm, scale: lr=0.1",
        "try first  scale: group_size=4",
    ]


def test_every_mistake_is_named_at_once(file):
    file.write_text(MINIMAL.replace("low: 1e-3", "low: 1").replace("epochs: 5", "epochs: 0"))
    with pytest.raises(UserError) as error:
        load_spec(file)
    assert len(str(error.value).splitlines()) == 2


def test_a_wrong_override_is_blamed_on_the_command_line(file):
    with pytest.raises(UserError, match="command line: scheduler.name: must be 'asha', .* or 'none'"):
        load_spec(file, {"scheduler.name": "ash"})
    with pytest.raises(UserError, match="can't set epochs.x: epochs is 5"):
        load_spec(file, {"epochs.x": 1})


def test_an_incomplete_key_is_refused(file):
    with pytest.raises(UserError, match="can't set 'epochs.'"):
        load_spec(file, {"epochs.": 3})


def test_methods_can_be_chosen_for_a_file_that_has_none(file):
    file.write_text("epochs: 5")
    assert list(load_spec(file, methods=["erm"]).methods) == ["erm"]


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(UserError, match="there is no search space"):
        load_spec(tmp_path / "absent.yaml")
    with pytest.raises(UserError, match="can't read"):
        load_spec(tmp_path)
    (tmp_path / "spec.yaml").touch()
    with pytest.raises(UserError, match=f"{tmp_path} is a run: go on with it by --resume {tmp_path}, or"):
        load_spec(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="can't read"):
        load_spec(tmp_path / "binary.yaml")


def test_a_spec_can_be_made_without_a_file():
    spec = RunSpec(methods={"erm": {}}, space={"lr": 0.1})
    assert spec.trial_config("erm", {}).hyperparameters.lr == 0.1


def test_the_plan_counts_the_epochs_that_prepare(file, capsys):
    file.write_text(
        "methods:\n  erm:\n  jtt: {space: {first_epochs: {type: choice, values: [2, 5]}}}\n"
        "num_samples: 2\nseeds: [0, 1, 2]\nepochs: 10\n"
    )
    spec = load_spec(file)
    print_plan(spec, preparation(spec))
    shown = capsys.readouterr().out
    assert "2…5 + 10" in shown
    assert "at most 150 epochs of single replicas" in shown, "2 x 3 x 10 of ERM, 2 x 3 x 15 of JTT"
