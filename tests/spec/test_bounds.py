"""Numbers that no clock, machine, table or file could hold are refused before anything starts."""

import time

import pytest

from scale_tune.errors import UserError
from scale_tune.search.stopping import parse_budget
from scale_tune.spec.config import DatasetConfig
from scale_tune.spec.frozen import MOST
from scale_tune.spec.loading import load_spec
from scale_tune.workflows.confirm import fresh_seeds
from scale_tune.workflows.resolving import resolved
from tests.support.commands import call

HUGE = "1" + "0" * 30


@pytest.fixture
def load(tmp_path):
    def loaded(text: str):
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return load_spec(path, check=resolved)

    return loaded


@pytest.mark.parametrize("number", [str(2**53), str(2**63), HUGE])
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("seeds: [0, {}]", "seeds.1: must be less than or equal to"),
        ("search_seed: {}", "search_seed: must be less"),
        ("dataset: {{name: digits, seed: {}}}", "dataset.seed: must be less"),
        ("space: {{dataset.seed: {}}}", "space.dataset.seed.value: a whole number must lie"),
        ("space: {{dataset.seed: {{type: int, low: 0, high: {}}}}}", "space.dataset.seed.high: must be less"),
        ("space: {{batch_size: {}}}", "space.batch_size"),
        ("space: {{batch_size: {{type: choice, values: [8, {}]}}}}", "space.batch_size.values"),
        ("space: {{batch_size: {{type: int, low: 8, high: {}}}}}", "space.batch_size.high"),
        ("methods: {{scale: {{space: {{group_size: {}}}}}}}", "methods.scale.space.group_size"),
        ("methods: {{jtt: {{space: {{upweight: {}}}}}}}", "methods.jtt.space.upweight"),
        ("methods: {{jtt: {{space: {{first_epochs: {}}}}}}}", "methods.jtt.space.first_epochs"),
        ("epochs: {}", "epochs: must be less"),
        ("num_samples: {}", "num_samples: must be less"),
        ("keep_top: {}", "keep_top: must be less"),
        ("scheduler: {{grace_period: {}}}", "scheduler.grace_period: must be less"),
        ("scheduler: {{reduction_factor: {}}}", "scheduler.reduction_factor: must be less"),
        ("resources: {{max_concurrent: {}}}", "resources.max_concurrent: must be less"),
        ("resources: {{cpus_per_trial: {}}}", "resources.cpus_per_trial: must be"),
        ("resources: {{gpus_per_trial: {}}}", "resources.gpus_per_trial: must be"),
    ],
)
def test_what_is_beyond_all_bounds_is_refused(load, text, where, number):
    methods = "" if text.startswith("methods") else "methods: [erm]\n"
    with pytest.raises(UserError) as refused:
        load(methods + text.format(number))
    assert where in str(refused.value)
    assert number in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: {batch_size: 1048577}", "less than or equal to 1048576"),
        ("resources: {cpus_per_trial: 1e-300}", "greater than or equal to 0.0001"),
        ("resources: {gpus_per_trial: 1e-5}", "at least 0.0001 of a GPU"),
        ("resources: {gpus_per_trial: 1.5}", "more than one is a whole number"),
        ("space: {lr: {type: float, low: -1.7e308, high: 1.7e308}}", "narrow the range"),
        (f"seeds: {list(range(1001))}", "at most 1000 items"),
    ],
)
def test_other_limits_name_themselves(load, text, message):
    with pytest.raises(UserError, match=message):
        load(f"methods: [erm]\n{text}")


def test_a_grid_of_more_trials_than_can_be_counted_is_refused(load):
    values = {name: [i / 1e4 + 1e-3 for i in range(50)] for name in ("lr", "weight_decay", "momentum")}
    space = "".join(f"\n  {name}: {{type: choice, values: {of}}}" for name, of in values.items())
    with pytest.raises(UserError, match="sampler: erm would have 125,000 trials, more than 99,999; list fewer values"):
        load(f"methods: [erm]\nsampler: grid\nspace:{space}")


def test_thousands_of_values_and_points_are_checked_in_no_time(load):
    points = ", ".join(f"{{lr: {i / 1e6 + 1e-6}}}" for i in range(6000))
    text = f"methods: [erm]\nsampler: points\nspace: {{lr: {{type: float, low: 1e-7, high: 1}}}}\ntry_first: [{points}]"
    started = time.process_time()
    assert load(text).method_samples("erm") == 6000
    assert time.process_time() - started < 10
    with pytest.raises(UserError, match="try_first.6000: the same point stands twice"):
        load(text[:-1] + ", {lr: 0.000001}]")


def test_the_largest_seeds_are_as_good_as_others(load):
    spec = load(f"methods: [erm]\nsplits: per_seed\nseeds: [0, {MOST}]\ndataset: {{name: digits, seed: {MOST}}}")
    config = spec.first_config("erm")
    assert [dataset.options["seed"] for dataset in config.datasets.values()] == [MOST, MOST - 1]
    assert DatasetConfig(name="digits", seed=3).redrawn(0).options == {"seed": 3}


@pytest.mark.parametrize(
    ("seeds", "fresh"), [((0, 1, 2), (3, 4, 5)), ((4, 9), (10, 11)), ((0, MOST), (1, 2)), ((MOST - 1, 1), (0, 2))]
)
def test_a_confirmation_finds_fresh_seeds(seeds, fresh):
    assert fresh_seeds(seeds) == fresh


@pytest.mark.parametrize("budget", ["3651d", HUGE + "s", "9" * 500 + "d"])
def test_a_budget_beyond_all_clocks_is_refused(budget):
    with pytest.raises(UserError, match="--time-budget: must be at most 3650d"):
        parse_budget(budget)
    assert parse_budget("3650d") == 3650 * 86400


@pytest.mark.parametrize("content", [b"methods: [erm] #" + b"x" * 2**20, b"# \xff"])
def test_a_file_that_nobody_wrote_is_not_read_to_its_end(tmp_path, content):
    path = tmp_path / "space.yaml"
    path.write_bytes(content)
    result = call("tune", path, "--dry-run", cwd=tmp_path)
    assert result.returncode == 2
    assert f"can't read the search space {path}" in result.stderr
    assert "give a YAML file" in result.stderr


def test_of_a_thousand_mistakes_a_screen_is_told(load):
    with pytest.raises(UserError) as refused:
        load("methods: [erm]\nseeds: [" + ", ".join(["x"] * 900) + "]")
    lines = str(refused.value).splitlines()
    assert len(lines) <= 20
    assert lines[-1] == "and 886 more mistakes"
