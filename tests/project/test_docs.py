"""The pages in docs say what the code does."""

import re
import runpy
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.refits import make_few_fits_here
from tests.support.runs import fast_spec, make_run

DOCS = REPOSITORY / "docs"
EXAMPLE = (DOCS / "example.md").read_text()
RECOMPUTED = ("worst_group", "minority", "average", "train_weighted", "worst_class")
"""By the page's query."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", EXAMPLE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A directory in which ``runs/demo`` is a run whose tables are exported."""
    from scale_tune.workflows.evaluate import evaluate

    root = tmp_path_factory.mktemp("example")
    spec = fast_spec(methods=["erm", "erm_target", "scale"], num_samples=4, epochs=2)
    run = make_run(root / "runs", spec, made_up=True, name="demo", fail="erm-00001")
    evaluate([run], (), None, lambda line: None)
    return root


def test_the_page_of_the_tables_is_what_the_schemas_say():
    page = runpy.run_path(str(DOCS / "make_tables.py"))["page"]()
    assert (DOCS / "tables.md").read_text() == page, "run python docs/make_tables.py"


def test_the_page_explains_every_column_with_its_type():
    from scale_tune.tables.run_schemas import SCHEMAS
    from scale_tune.tables.schemas import COMPARISONS

    page = (DOCS / "tables.md").read_text()
    for name, schema in {**SCHEMAS, **COMPARISONS}.items():
        section = page.split(f"### `{name}`")[1].split("\n### ")[0]
        for field in schema:
            assert re.search(
                rf"^\| `{re.escape(field.name)}` \| {re.escape(str(field.type))} \|.*\| \S.* \|$", section, re.M
            )


def test_the_example_runs_in_pandas_polars_and_duckdb_and_they_agree(exported, monkeypatch, capsys):
    monkeypatch.chdir(exported)
    found = []
    for code in blocks("python"):
        namespace: dict = {}
        exec(code, namespace)
        found.append((namespace["selected"], namespace["by_batch"]))
    pandas, polars, duckdb = found
    assert capsys.readouterr().out.count("erm_target") >= 6

    columns = ["trial", "objective", "test_worst_group_mean"]
    expected = pandas[0][columns].values.tolist()
    assert polars[0].select(columns).rows() == [tuple(row) for row in expected]
    assert duckdb[0].select(*columns).fetchall() == [tuple(row) for row in expected]
    assert len(expected) == 3

    batches = pandas[1].astype(object).where(pandas[1].notna(), None).reset_index().values.tolist()
    assert [list(row) for row in polars[1].sort("method").rows()] == batches
    assert [list(row) for row in duckdb[1].fetchall()] == batches


def test_the_example_selects_what_the_package_selects(exported, monkeypatch):
    import pandas as pd

    monkeypatch.chdir(exported)
    namespace: dict = {}
    exec(blocks("python")[0], namespace)
    comparison = pd.read_parquet("runs/demo/results/comparison.parquet").set_index("method")
    assert namespace["selected"]["trial"].to_dict() == comparison["trial"].to_dict()


@pytest.fixture(scope="module")
def counted(tmp_path_factory) -> Path:
    """As ``exported``, of a run that was trained and refitted by both protocols, one trial of which failed."""
    from scale_tune.dfr import protocols
    from scale_tune.workflows.evaluate import evaluate

    root = tmp_path_factory.mktemp("counted")
    few = {"space": {"lr": 0.01, "batch_size": {"type": "choice", "values": [128, 256, 512]}}, "sampler": "grid"}
    data = {"name": "digits", "spurious_strength": 0.9}  # every protocol of DFR is defined
    spec = fast_spec(methods={"erm": {}, "erm_target": {}}, dataset=data, epochs=1, keep_top=2, **few)
    run = make_run(root / "runs", spec, name="demo", fail="erm-00001")
    with pytest.MonkeyPatch.context() as patched:
        make_few_fits_here(patched)
        evaluate([run], tuple(protocols.RECIPES), None, lambda line: None)
    return root


@pytest.fixture(scope="module")
def counted_by_cell(tmp_path_factory) -> Path:
    """Likewise, made up, of data whose evaluation groups are its cells."""
    from scale_tune.workflows.evaluate import evaluate

    root = tmp_path_factory.mktemp("by_cell")
    spec = fast_spec(methods=["erm", "scale"], dataset={"name": "celeba"}, model={"name": "resnet18"})
    run = make_run(root / "runs", spec, made_up=True, name="demo")
    evaluate([run], (), None, lambda line: None)
    return root


@pytest.mark.parametrize(("made", "refits"), [("counted", 8), ("counted_by_cell", 0)])
def test_the_query_makes_every_accuracy_of_trials_and_refits_from_their_counts(made, refits, request, monkeypatch):
    import duckdb
    import pandas as pd

    monkeypatch.chdir(request.getfixturevalue(made))
    (query,) = blocks("sql")
    found = duckdb.sql(query).df()
    trials, dfr = (pd.read_parquet(f"runs/demo/results/{name}.parquet") for name in ("trials", "dfr"))
    own = found[found["protocol"].isna()].set_index(["split", "trial"])
    assert own.index.is_unique
    for split in ("val", "test"):
        with_result = trials.dropna(subset=f"{split}_average_mean").set_index("trial")
        assert set(own.loc[split].index) == set(with_result.index)
        assert len(with_result) >= 4
        for name in RECOMPUTED:
            assert own.loc[split][name].to_dict() == pytest.approx(with_result[f"{split}_{name}_mean"].to_dict())
    of_refits = found[found["protocol"].notna()]
    key = ["trial", "features", "protocol"]
    expected = dfr.groupby(key)[[f"{split}_{name}" for split in ("val", "test") for name in RECOMPUTED]].mean()
    assert len(expected) == refits
    assert len(of_refits) == 2 * refits
    for row in of_refits.to_dict("records"):
        values = expected.loc[tuple(row[name] for name in key)]
        for name in RECOMPUTED:
            assert row[name] == pytest.approx(values[f"{row['split']}_{name}"])
