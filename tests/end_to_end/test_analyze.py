"""The command analyze.py on runs as they may be: whole, empty, going on, only failures, several, a grid."""

import re

import pytest

from scale_tune.storage.location import Location
from scale_tune.storage.rundir import create_run
from tests.support.commands import call, run
from tests.support.runs import fast_spec, make_run
from tests.support.trackers import assert_shown_once

GRID = {
    "methods": ["erm_target"],
    "space": {
        "lr": {"type": "choice", "values": [0.01, 0.1]},
        "batch_size": {"type": "choice", "values": [32, 64]},
    },
    "sampler": "grid",
    "scheduler": {"name": "none"},
}
SCALE = {"methods": ["scale"], "num_samples": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return {
        "target": make_run(root, fast_spec(methods=["erm_target"]), made_up=True, name="target"),
        "scale": make_run(root, fast_spec(**SCALE), made_up=True, name="scale"),
        "grid": make_run(root, fast_spec(**GRID), made_up=True, fail="erm_target-00002", name="grid"),
        "empty": create_run(Location.of(root), "empty", fast_spec(), {}),
        "failed": make_run(root, fast_spec(**SCALE), made_up=True, fail="scale-00000", name="failed"),
        "going on": make_run(root, fast_spec(**SCALE), made_up=True, leave_running="scale-00000", name="going"),
    }


def test_runs_of_one_method_each_make_one_table_and_latex(runs, tmp_path):
    result = run("analyze", runs["target"].path, runs["scale"].path, "--latex", "--export", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert re.search(r"\n  erm_target .*\n  target ", result.stdout)
    assert r"\begin{tabular}" in result.stdout
    assert (tmp_path / "out" / "comparison.tex").read_text() in result.stdout
    assert (tmp_path / "out" / "target" / "trials.parquet").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("empty", "note: the run has no trials yet"),
        ("failed", "note: of the 1 scale trials, 1 failed: not selectable"),
        ("going on", "note: of the 1 scale trials, 1 not finished: not selectable"),
    ],
)
def test_a_run_without_a_result_is_analysed_and_said_to_be_so(runs, name, said):
    result = call("analyze", runs[name].path)
    assert result.returncode == 0, result.stderr
    assert said in result.stdout
    assert (runs[name].results / "comparison.csv").is_file()


def test_a_run_without_trackers_is_shown_in_one_afterwards_and_its_ledger_copied(runs, tmp_path):
    path, copy = runs["target"].path, tmp_path / "copy.log"
    shown = ("--track", "tensorboard", "--optuna", copy)
    result = call("analyze", path, "--dfr", "none", "--export", tmp_path / "out", *shown)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    at = lines.index(f"bringing tensorboard up to {path} …")
    assert f"tensorboard has it all: tensorboard --logdir {path}/tensorboard" in lines[at + 1 :]
    assert "reading the records …" in lines[at + 1 :], "what takes time is said to be what it is"
    assert_shown_once(runs["target"], "tensorboard")
    assert b"erm_target-00002" in copy.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--track", "mlfow"], "--track: there is no tracker 'mlfow'; did you mean 'mlflow'?"),
        (["--optuna", "spec.yaml"], "--optuna spec.yaml is there already; choose another file, or delete it"),
    ],
)
def test_a_wrong_tracker_and_a_file_that_is_there_are_refused(runs, options, message):
    directory = runs["target"].path.local
    result = call("analyze", directory, *options, cwd=directory)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_tracker_that_can_not_be_brought_up_is_said_and_the_command_makes_up_for_it(runs, tmp_path):
    in_the_way = runs["scale"].path.local / "tensorboard"
    in_the_way.write_text("")
    command = (runs["scale"].path, "--dfr", "none", "--export", tmp_path / "out", "--track", "tensorboard")
    result = call("analyze", *command)
    assert result.returncode == 3
    assert "warning: tensorboard lags behind: " in result.stdout
    assert (tmp_path / "out" / "trials.parquet").exists()
    in_the_way.unlink()
    assert call("analyze", *command).returncode == 0
    assert_shown_once(runs["scale"], "tensorboard")


def test_the_same_run_twice_is_refused(runs):
    result = call("analyze", runs["scale"].path, f"{runs['scale'].path}/../scale")
    assert result.returncode == 2
    assert "is given twice" in result.stderr


def test_an_ablation_shows_the_grid_and_writes_table_latex_and_figures(runs):
    result = run("analyze", "ablation", runs["grid"].path, "--rows", "lr", "--cols", "config.batch_size")
    assert result.returncode == 0, result.stderr
    assert "erm_target: test worst-group by lr × batch_size, mean ± std over 2 seeds" in result.stdout
    assert result.stdout.count(" missing │") == 1
    assert "note: erm_target: missing (failed): lr=" in result.stdout
    written = set((runs["grid"].results / "ablation").names())
    name, suffixes = "lr-batch_size-test_worst_group", (".parquet", ".tex", "-lines.pdf", "-lines.svg", "-lines.png")
    assert written == {name + suffix for suffix in suffixes}


def test_lines_are_wrapped_between_words_on_a_terminal_and_whole_elsewhere(runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    command = (runs["failed"].path, "--dfr", "none")
    whole, wrapped = (call("analyze", *command, terminal=terminal).stdout for terminal in (False, True))
    (note,) = [line for line in whole.splitlines() if "none ended with a result of every seed" in line]
    assert note.startswith("note: scale: none of 1 trials can be selected")
    assert len(note) > 80
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", wrapped)  # without colours, and a spinner's moves
    lines = text[text.index("note: ") :].splitlines()
    assert max(len(line) for line in lines if "/" not in line) <= 80
    at = next(i for i, line in enumerate(lines) if line.startswith("note: scale: none of 1 trials"))
    assert lines[at + 1].startswith("  ")
    assert f"{lines[at]} {lines[at + 1].strip()}" == note


@pytest.mark.parametrize("datasets", [4, 5])
def test_beyond_four_datasets_the_map_of_winners_stands_for_tables_and_differences(datasets, tmp_path):
    space = GRID["space"] | {"dataset.noise": {"type": "choice", "values": [i / 10 for i in range(1, datasets + 1)]}}
    grid = GRID | {"methods": ["erm_target", "scale"], "space": space}
    directory = make_run(tmp_path, fast_spec(**grid), made_up=True, name="many").path
    printed = call("analyze", directory, "--dfr", "none").stdout
    assert "winners by noise" in printed
    head = next(line for line in printed.splitlines() if line.startswith("┃"))
    assert re.match(r"┃ +0\.1 ┃", head), "one row alone has no name, and no column for it"
    tables, differences = printed.count("group labels of"), printed.count("scale − erm_target on")
    (rest,) = [line for line in printed.splitlines() if line.startswith("the tables of all")] or [""]
    if datasets == 4:
        assert (tables, rest) == (4, "")
        assert differences + printed.count("erm_target − scale on") == 4
    else:
        assert (tables, differences) == (0, 0)
        assert rest == (
            "the tables of all 5 datasets, and the differences between methods: "
            f"{directory}/report.html, {directory}/results/comparison.csv, {directory}/results/differences.csv"
        )
        assert len(printed.splitlines()) < 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "lrr", "--cols", "batch_size"], "did you mean 'lr'?"),
        (["--rows", "lr", "--cols", "batch_size", "--difference", "erm_target,scale"], "the ablation has no 'scale'"),
        (["--rows", "lr", "--cols", "batch_size", "--at", "lr=7"], "the run has no lr of '7'"),
        (["--rows", "lr", "--cols", "batch_size", "--published"], "there are no published numbers on digits"),
        (["--rows", "lr", "--cols", "batch_size", "--plot", "bars"], "--plot: 'bars' is not one of"),
        (["--rows", "lr", "--cols", "batch_size", "--dfr", "scale,dfr"], "--dfr: an ablation shows one protocol"),
        (["--rows", "lr", "--cols", "batch_size", "--dfr", "drf"], "--dfr: there is no protocol 'drf'"),
    ],
)
def test_an_ablation_refuses_what_the_run_has_not(runs, arguments, message):
    result = call("analyze", "ablation", runs["grid"].path, *arguments)
    assert result.returncode == 2
    assert message in result.stderr
