"""Warm starts: what is taken over from earlier runs, what is not, and what is said of both."""

import pytest
import yaml

from scale_tune.analysis.selection import ranked
from scale_tune.economy.warm_starts import MOST_FIRST
from scale_tune.errors import UserError
from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import read_trials
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.tables.collect import load_results
from scale_tune.workflows import driver, rehearsal
from scale_tune.workflows.priors import parse_priors, with_priors
from scale_tune.workflows.resolving import resolved
from tests.support.commands import call
from tests.support.runs import fast_spec, make_run

LR = {"type": "float", "low": 1e-3, "high": 1e-1, "log": True}
BATCH = {"type": "choice", "values": [32, 64]}


def searched(**options) -> RunSpec:
    """One epoch of random draws, all of which run to their end."""
    return fast_spec(**({"epochs": 1, "sampler": "random", "scheduler": {"name": "none"}, "num_samples": 5} | options))


def new(**options) -> RunSpec:
    """The same space for another search."""
    return searched(**({"search_seed": 7, "num_samples": 10} | options))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, RunDir]:
    """Two finished runs of ERM and target-ERM, and one of which nothing has completed."""
    directory = tmp_path_factory.mktemp("runs")
    return {
        "first": make_run(directory, searched(), made_up=True, name="first"),
        "second": make_run(directory, searched(search_seed=3), made_up=True, name="second"),
        "begun": create_run(Location.of(directory), "begun", searched(), {}),
    }


def best_params(run: RunDir, method: str) -> list[dict]:
    """Of a method's trials, the best first."""
    names = ranked(load_results(run.path)["trials"]).query("method == @method")["trial"]
    trials = {trial.name: trial.params for trial in read_trials(run.ledger)}
    return [trials[name] for name in names]


def taken(spec: RunSpec, *priors: RunDir) -> tuple[RunSpec, list[dict], list[str]]:
    lines: list[str] = []
    found, noted = with_priors(spec, priors, lines.append)
    return found, noted, lines


def test_the_best_configs_of_each_method_are_its_first_trials(runs, tmp_path):
    found, noted, lines = taken(new(), runs["first"])
    for method in ("erm", "erm_target"):
        assert list(found.method_points(method)) == best_params(runs["first"], method)[:MOST_FIRST]
    (tmp_path / "ledger.log").touch()
    ledger = Ledger(tmp_path / "ledger.log", found)
    drawn = [ledger.next_trial() for _ in range(6)]
    assert [t.params for t in drawn if t.method == "erm"] == best_params(runs["first"], "erm")[:3]
    assert resolved(found) == found
    assert (noted[0]["run"], noted[0]["id"]) == (str(runs["first"].path), runs["first"].identity)
    assert len(noted[0]["trials"]) == 6
    assert lines == [f"prior {runs['first'].path}: {', '.join(noted[0]['trials'])} tried first"]


def test_earlier_runs_take_turns_and_equal_configs_count_once(runs):
    found, noted, _ = taken(new(), runs["second"], runs["first"])
    first, second = (best_params(runs[name], "erm") for name in ("first", "second"))
    assert list(found.method_points("erm")) == [second[0], first[0], second[1]]
    assert [len([t for t in prior["trials"] if t.startswith("erm-")]) for prior in noted] == [2, 1]
    own = [first[0], {"lr": 0.02}]
    found, _, _ = taken(new(methods={"erm": {"try_first": own}}), runs["first"])
    assert list(found.method_points("erm")) == [*own, first[1], first[2]], "the space's own points come before"


def test_a_prior_takes_no_more_trials_than_there_are(runs):
    for num_samples, expected in ((1, 1), (2, 2), (10, 3)):
        found, _, _ = taken(new(num_samples=num_samples), runs["first"])
        assert len(found.method_points("erm")) == expected
    with pytest.raises(UserError, match="no config of an earlier run can be tried first"):
        taken(new(methods=["erm"], num_samples=1, try_first=[{"lr": 0.01}]), runs["first"])


def test_what_this_space_does_not_hold_is_said_and_drawn(runs):
    path, (best, *_) = runs["first"].path, best_params(runs["first"], "erm")
    space = {"lr": LR | {"low": 0.5, "high": 0.9}, "batch_size": BATCH, "momentum": {**LR, "log": False}}
    found, _, lines = taken(new(methods=["erm"], space=space), runs["first"])
    point = found.method_points("erm")[0]
    assert point == {"batch_size": best["batch_size"]}, "momentum was 0.9, which lies outside, too"
    assert f"prior {path}, erm: lr was {best['lr']}, which is not a number from 0.5 to 0.9, and is drawn" in lines
    assert f"prior {path}, erm: momentum was 0.9, which is not a number from 0.001 to 0.1, and is drawn" in lines
    fixed = new(methods=["erm"], space={"lr": LR, "batch_size": 48})
    found, _, lines = taken(fixed, runs["first"])
    assert found.method_points("erm")[0] == {"lr": best["lr"]}
    assert f"prior {path}, erm: batch_size was {best['batch_size']}, and is fixed at 48 here" in lines


def test_a_constant_of_the_earlier_run_is_a_value_like_any_other(runs):
    space = {"lr": LR, "momentum": {"type": "float", "low": 0.5, "high": 0.95}}
    found, _, _ = taken(new(methods=["erm"], space=space), runs["first"])
    assert found.method_points("erm")[0]["momentum"] == 0.9


def test_a_parameter_that_did_not_exist_and_one_that_no_longer_does_are_said(runs, tmp_path):
    data = {"name": "digits", "noise": 0.3}
    of_data = {"lr": LR, "dataset.noise": {"type": "float", "low": 0.1, "high": 0.6}}
    run = make_run(tmp_path, searched(methods=["erm"], space=of_data), made_up=True)
    dominoes = new(
        methods=["erm"],
        dataset={"name": "dominoes"},
        space={"lr": LR, "dataset.val_target_size": {"type": "choice", "values": [500, 1000]}},
    )
    found, _, lines = taken(dominoes, run)
    assert found.method_points("erm")[0].keys() == {"lr"}
    assert f"prior {run.path}, erm: dataset.val_target_size did not exist, and is drawn" in lines
    assert f"prior {run.path}, erm: there is no dataset.noise here, which was searched" in lines
    note = f"note: prior {run.path} had another dataset (digits, now dominoes), so what was best there need not be here"
    assert note in lines
    _, _, lines = taken(new(dataset=data), runs["first"])
    assert any("had another dataset (noise 0.55, now 0.3), so what was best" in line for line in lines)
    _, _, lines = taken(new(methods=["erm"], dataset=data), run)
    assert any("had another dataset (noise searched, now 0.3), so" in line for line in lines)
    _, _, lines = taken(new(objective="average", model={"name": "resnet18"}), runs["first"])
    assert any("had another model (small_cnn, now resnet18), so" in line for line in lines)
    assert any("had another objective (worst_group, now average), so" in line for line in lines)


def test_the_best_on_each_data_of_an_earlier_run_take_turns(tmp_path):
    space = {"lr": LR, "dataset.spurious_strength": {"type": "choice", "values": [0.95, 1.0]}}
    run = make_run(tmp_path, searched(methods=["erm"], space=space, num_samples=8, search_seed=1), made_up=True)
    assert len({params["dataset.spurious_strength"] for params in best_params(run, "erm")[:2]}) == 1, "no turns"
    found, _, _ = taken(new(methods=["erm"], space={"lr": LR}), run)
    by_data = {
        s: [p["lr"] for p in best_params(run, "erm") if p["dataset.spurious_strength"] == s] for s in (0.95, 1.0)
    }
    points = [point["lr"] for point in found.method_points("erm")]
    assert set(points[:2]) == {by_data[0.95][0], by_data[1.0][0]}
    assert points[2] in (by_data[0.95][1], by_data[1.0][1])


def test_other_methods_are_said_and_so_is_a_head_start(runs):
    path = runs["first"].path
    found, _, lines = taken(new(methods=["erm", "scale"]), runs["first"])
    assert f"prior {path}: erm_target is not searched here" in lines
    assert "note: scale: no point from --prior; a method with some has a head start, if they are good" in lines
    assert found.method_points("scale") == ()
    renamed = new(methods={"erm": {"variant_of": None}, "erm_target": {}}).model_copy()
    variant = new(methods={"erm_wide": {"variant_of": "erm"}, "erm": {}})
    assert taken(variant, runs["first"])[0].method_points("erm_wide") == ()
    assert taken(renamed, runs["first"])[0].method_points("erm")


def test_another_method_of_the_same_name_gives_nothing(tmp_path, runs):
    space = {"lr": LR}
    variant = searched(methods={"mine": {"variant_of": "erm"}, "erm": {}}, space=space)
    run = make_run(tmp_path, variant, made_up=True)
    here = new(methods={"mine": {"variant_of": "erm_target"}, "erm": {}}, space=space)
    found, _, lines = taken(here, run)
    assert f"prior {run.path}: its mine is another method of the same name" in lines
    assert found.method_points("mine") == ()
    assert found.method_points("erm")


def test_what_can_give_nothing_is_refused(runs, tmp_path):
    for name in ("grid", "points"):
        spec = new(
            sampler=name,
            space={"lr": 0.1, "batch_size": BATCH},
            try_first=[] if name == "grid" else [{"batch_size": 32}],
        )
        with pytest.raises(UserError, match=f"--prior goes with a sampler that draws, and {name} tries a list"):
            taken(spec, runs["first"])
    with pytest.raises(UserError, match="no trial of it has run to its end with all its seeds; leave it out"):
        taken(new(), runs["begun"])
    with pytest.raises(UserError, match="is not the directory of a run"):
        taken(new(), RunDir(tmp_path))
    with pytest.raises(UserError, match="no config of an earlier run can be tried first in this search"):
        taken(new(methods=["scale"]), runs["first"])
    with pytest.raises(UserError, match="no config of an earlier run can be tried first in this search"):
        taken(new(space={"lr": 0.01, "batch_size": 16}), runs["first"])


def test_a_run_that_stands_twice_is_refused(runs, monkeypatch):
    monkeypatch.chdir(runs["first"].path.local.parent)
    assert [run.path.name for run in parse_priors("first, second")] == ["first", "second"]
    with pytest.raises(UserError, match="stands twice; list it once"):
        parse_priors("first,second,first/../first")


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "methods: [erm, erm_target]\nnum_samples: 4\nepochs: 1\nsampler: random\n"
        "space:\n  lr: {type: float, low: 1e-3, high: 1e-1, log: true}\n"
        "  batch_size: {type: choice, values: [32, 64]}\n"
    )
    return path


def test_a_dry_run_shows_them(runs, space, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "rehearse", lambda spec, steps: None)  # a step of each method takes its time
    result = call("tune", space, "--prior", runs["first"].path, "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    best = best_params(runs["first"], "erm")[0]
    assert f"try first  erm: lr={best['lr']} batch_size={best['batch_size']}" in result.stdout
    assert f"prior {runs['first'].path}: " in result.stdout


def test_a_run_is_started_with_them_and_notes_where_they_are_from(runs, space, tmp_path, monkeypatch):
    made = {}

    def launch(spec, storage, name, address, ledger, budget, steps, *, priors):
        made["run"] = create_run(storage, name, spec, {"dataset": "x"}, None, priors)
        return True

    monkeypatch.setattr(driver, "launch", launch)
    prior = runs["second"].path
    assert call("tune", space, "--prior", prior, "--name", "new", "--storage", tmp_path).returncode == 0
    written = yaml.safe_load((tmp_path / "new" / "spec.yaml").read_text())
    best = best_params(runs["second"], "erm")
    assert written["spec"]["methods"]["erm"]["try_first"] == best[:3]
    noted = written["provenance"]["priors"]
    assert [(each["run"], each["id"]) for each in noted] == [(str(prior), runs["second"].identity)]
    assert RunDir(tmp_path / "new").read_spec().method_points("erm") == tuple(best[:3]), "a resume needs no more"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SPACE", "--prior", "absent"], "absent is not the directory of a run"),
        (["SPACE", "--prior", "begun"], "--prior DIR/begun: no trial of it has run to its end"),
        (["SPACE", "--prior", "first,first"], "--prior: DIR/first stands twice; list it once"),
        (["SPACE", "--prior", "first", "--name", "first", "--storage", "."], "the run DIR/first exists; go on with it"),
        (["SPACE", "--prior", "gs://lab/runs/x"], "storage is a directory or s3://bucket/path, not gs://"),
        (["--resume", "first", "--prior", "second"], "--prior can't be given with --resume"),
        (["--status", "first", "--prior", "second"], "--prior, --dry-run can't be given with --status"),
    ],
)
def test_mistakes_are_one_message(runs, space, arguments, message):
    directory = runs["first"].path.local.parent
    words = [str(space) if word == "SPACE" else word for word in arguments]
    result = call("tune", *words, "--dry-run", cwd=directory)
    assert result.returncode == 2, result.stdout
    assert message.replace("DIR", str(directory)) in result.stderr
    assert result.stderr.count("\n") <= 3
