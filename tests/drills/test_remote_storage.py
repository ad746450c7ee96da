"""A run in an object store, with its ledger in PostgreSQL: both real servers, on this machine."""

import getpass
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scale_tune.errors import UserError
from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import create_studies
from scale_tune.storage.database import Database
from scale_tune.storage.location import Location
from scale_tune.storage.lock import only_driver
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.tables import collect as results
from tests.drills.conftest import SAMPLES
from tests.support.clusters import free_port, wait_for_http
from tests.support.commands import call, kill_group, run, start, wait_until
from tests.support.runs import fast_spec
from tests.support.searches import assert_search_is_whole, ledger_of, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory) -> Iterator[str]:
    """The URL of an empty database on a server of our own (Debian's package postgresql)."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert binaries or shutil.which("initdb"), "this drill needs PostgreSQL; install Debian's package postgresql"
    bin_dir = binaries[-1] if binaries else Path(shutil.which("initdb")).parent
    directory, port = tmp_path_factory.mktemp("postgresql"), free_port()
    # The server refuses to run as root; the package has made a user for it.
    user = {"user": "postgres"} if getpass.getuser() == "root" else {}
    if user:
        # Up to where pytest keeps all of its directories, which is one further where it runs two files at once.
        for parent in (directory, *(p for p in directory.parents if p.name.startswith(("pytest-", "popen-")))):
            parent.chmod(0o755)
        shutil.chown(directory, "postgres")
    data = directory / "data"
    initdb = [bin_dir / "initdb", "-D", data, "-U", "scale", "--auth=trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=directory, **user)
    options = ["-D", data, "-p", str(port), "-k", directory, "-h", "127.0.0.1"]
    server = subprocess.Popen([bin_dir / "postgres", *options], cwd=directory, stderr=subprocess.DEVNULL, **user)
    try:
        ready = [bin_dir / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        wait_for(lambda: subprocess.run(ready, capture_output=True).returncode == 0, 60)
        yield f"postgresql://scale@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 bucket of moto's server."""
    import boto3  # of the extra drill

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    keys |= {"AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true"}
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = {name: os.environ.get(name) for name in keys}
    try:
        wait_for_http(f"{url}/moto-api/")
        os.environ.update(keys)
        boto3.client("s3").create_bucket(Bucket="lab")
        yield "s3://lab/runs"
    finally:
        server.terminate()
        server.wait(30)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def objectives(run_dir: str) -> int:
    try:
        return sum(len(trial.objectives) for trial in ledger_of(run_dir))
    except UserError:  # there is no run yet
        return 0


def test_a_run_in_an_object_store_is_killed_resumed_and_analysed(space, tmp_path, bucket, postgresql):
    directory, log = f"{bucket}/demo", tmp_path / "log"
    launch = ["tune", space, "--name", "demo", "--storage", bucket]
    result = run(*launch)
    assert result.returncode == 2
    assert "give a database for it, as --ledger postgresql://user@host/database" in result.stderr
    assert run(*launch, "--dry-run").returncode == 0

    driver = start(*launch, "--ledger", postgresql, log=log)
    wait_until(lambda: objectives(directory) >= 3, driver, log)
    result = run("tune", "--resume", directory)
    assert result.returncode == 2
    assert re.search(rf"already being driven by process {driver.pid} on ", result.stderr)
    kill_group(driver)
    assert any(not trial.state.ended for trial in ledger_of(directory))

    result = run("tune", "--resume", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")
    again = run(*launch, "--ledger", postgresql)
    assert again.returncode == 2
    assert f"python tune.py --resume {directory}" in again.stderr

    result = run("tune", "--resume", directory, "--num-samples", 4)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_search_is_whole(directory, dict.fromkeys(SAMPLES, 4), tmp_path / "check-extended")

    result = run("analyze", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    names = {path.partition("/")[0] for path in RunDir(directory).path.names()}
    assert {"spec.yaml", "driver.json", "results", "trials", "ray.log", "report.html"} <= names
    assert len(results.load_results(directory)["trials"]) == 8
    assert {"trials.parquet", "comparison.tex"} <= set((RunDir(directory).path / "results").names())
    elsewhere = [f"{directory}-tables", f"{directory}-tables/report.html"]
    result = run("analyze", directory, "--export", elsewhere[0], "--report", elsewhere[1])
    assert result.returncode == 0, result.stdout + result.stderr
    assert "refitting" not in result.stdout
    assert {"trials.parquet", "comparison.tex", "report.html"} <= set(Location.of(elsewhere[0]).names())


def test_storage_that_cannot_be_had_is_an_error_before_anything_starts(space, bucket, postgresql):
    options = ["--name", "demo", "--ledger", postgresql]
    result = run("tune", space, *options, "--storage", "s3://absent-bucket/runs")
    assert result.returncode == 2
    assert "s3://absent-bucket/runs" in result.stderr
    assert "Traceback" not in result.stderr
    result = run("tune", space, *options, "--storage", "ftp://host/runs")
    assert result.returncode == 2
    assert "not ftp://" in result.stderr


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://scale@127.0.0.1:1/postgres", "can't open the ledger"),
        ("postgresql://scale:secret@127.0.0.1:1/postgres", "put it into ~/.pgpass"),
        ("sqlite:///ledger.db", "must be a PostgreSQL database"),
        ("nonsense", "must be a URL"),
    ],
)
def test_a_database_that_cannot_hold_the_ledger_is_an_error(space, tmp_path, url, message):
    result = run("tune", space, "--name", "demo", "--storage", tmp_path / "runs", "--ledger", url)
    assert result.returncode == 2
    assert message in result.stderr
    assert "secret" not in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs" / "demo").exists()


def test_a_run_whose_ledger_is_in_a_database_is_seen_from_outside(tmp_path, postgresql):
    """The lock is looked at without being taken, in the list of those that the server holds."""
    spec = fast_spec(scheduler={"name": "none"})
    database = Database(postgresql, "seen-1")
    create_studies(database, spec.methods)
    run = create_run(Location.of(tmp_path), "seen", spec, {}, database)
    ledger = Ledger(database, spec)
    name = ledger.next_trial().name
    ledger.report(name, [0.25])
    ledger._storage.remove_session()
    ledger._storage.engine.dispose()
    (run.trial(name) / "checkpoint-00001.safetensors").write(b"")
    with only_driver(run):
        result = call("tune", "--status", run.path)
        assert result.returncode == 0, result.stderr
        assert f"driven by process {os.getpid()} on " in result.stdout
        assert f"running (epochs trained)\n{name} 1/1\n" in result.stdout
        assert re.search(r"last report \d+s ago", result.stdout)
    assert "nobody drives it" in call("tune", "--status", run.path).stdout
    with only_driver(run):
        pass
