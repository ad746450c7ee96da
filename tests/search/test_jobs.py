"""Submitting a command as a job, finding it again and following it, on a cluster that is only played."""

import shlex
import signal
import sys
from pathlib import Path

import pytest
from ray.job_submission import JobDetails, JobStatus, JobType

from scale_tune.errors import UserError
from scale_tune.search import following, jobs
from scale_tune.search.jobs import Job, exit_code, run_job

ADDRESS = "http://head:8265"


class Cluster:
    """Plays Ray's client: jobs that print ``log`` and end as ``becomes`` says."""

    def __init__(self) -> None:
        self.known: list[JobDetails] = []
        self.environments: dict[str, dict] = {}
        self.taken: set[str] = set()
        self.becomes: dict = {"status": JobStatus.SUCCEEDED, "driver_exit_code": 0, "driver_node_id": "n"}
        self.chunks: list[list[str | Exception | type[BaseException]]] = [["begun\n", "done\n"]]

    def list_jobs(self) -> list[JobDetails]:
        driver = JobDetails(type=JobType.DRIVER, job_id="01000000", status=JobStatus.RUNNING, entrypoint="x")
        return [driver, *self.known]

    def submit_job(self, *, entrypoint: str, submission_id: str, runtime_env: dict) -> str:
        directory = Path(runtime_env["working_dir"])
        self.taken = {str(path.relative_to(directory)) for path in directory.rglob("*.*")}
        self.environments[submission_id] = runtime_env["env_vars"]
        self.add(submission_id, entrypoint)
        return submission_id

    def add(self, submission_id: str, entrypoint: str, status: JobStatus = JobStatus.RUNNING, **fields) -> None:
        details = JobDetails(
            type=JobType.SUBMISSION, submission_id=submission_id, entrypoint=entrypoint, status=status, **fields
        )
        self.known.append(details)

    async def tail_job_logs(self, job_id: str):
        for chunk in self.chunks.pop(0):
            if not isinstance(chunk, str):
                raise chunk
            yield chunk

    def get_job_info(self, job_id: str) -> JobDetails:
        (details,) = [details for details in self.known if details.submission_id == job_id]
        return details.model_copy(update=self.becomes)


@pytest.fixture
def cluster(monkeypatch):
    cluster = Cluster()
    monkeypatch.setattr(jobs, "_client", lambda address: cluster)
    monkeypatch.setattr(following, "RETRY_SECONDS", 0.0)
    handler = signal.getsignal(signal.SIGTERM)
    yield cluster
    signal.signal(signal.SIGTERM, handler)


def launch(space: Path, **fields) -> Job:
    arguments = [space, "--name", "demo", "--storage", "/runs"]
    return Job(**{"command": "tune", "arguments": arguments, "works_on": "/runs/demo", "once": True} | fields)


def resumption(*more: str) -> Job:
    return Job(command="tune", arguments=["--resume", "/runs/demo", *more], works_on="/runs/demo", plain=not more)


@pytest.fixture
def space(tmp_path) -> Path:
    path = tmp_path / "spaces" / "digits.yaml"
    path.parent.mkdir()
    path.write_text("methods: [erm]")
    return path


def followed(job: Job) -> tuple[int, list[str]]:
    said: list[str] = []
    return run_job(ADDRESS, job, said.append), said


def test_an_id_is_made_of_what_the_job_works_on(space):
    prefix = launch(space).id_prefix
    assert prefix == resumption("--num-samples", "9").id_prefix == "tune-demo-5dda4415be-"
    others = [
        launch(space, works_on="/other/demo"), launch(space, works_on="/runs/demo2"), launch(space, command="analyze")
    ]  # fmt: skip
    assert len({prefix, *(job.id_prefix for job in others)}) == 4
    odd = launch(space, works_on="s3://lab/a b/ü" + "x" * 200)
    assert set(odd.id_prefix) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(odd.id_prefix) < 64


def test_a_command_is_submitted_with_its_files_and_followed_line_by_line(cluster, space, tmp_path):
    method = tmp_path / "methods" / "mine.py"
    method.parent.mkdir()
    method.write_text("")
    cluster.chunks = [["one\ntwo\nthr", "ee\n", "last"]]
    code, said = followed(launch(space, files=[method], environment={"SCALE_TUNE_DATA": "/shared/my data"}))
    assert code == 0
    assert said[-4:] == ["one", "two", "three", "last"]
    (details,) = cluster.known
    assert details.submission_id == f"{launch(space).id_prefix}1"
    assert shlex.split(details.entrypoint) == [
        "exec", "env", "SCALE_TUNE_DATA=/shared/my data", "python", "-m", "scale_tune.cli.entry", "tune",
        "files/spaces/digits.yaml", "--name", "demo", "--storage", "/runs",
    ]  # fmt: skip
    assert {"files/spaces/digits.yaml", "files/methods/mine.py", "scale_tune/cli/tune.py"} <= cluster.taken
    told = cluster.environments[details.submission_id]
    assert int(told["RAY_JOB_STOP_WAIT_TIME_S"]) >= 30
    command = f"python tune.py {space} --name demo --storage /runs --address {ADDRESS}"
    assert told["SCALE_TUNE_COMMAND"] == command
    assert f"  to find it again:  {command}" in said[0]
    assert f"ray job stop --address {ADDRESS} {details.submission_id}" in said[0]


def test_a_running_job_is_found_and_not_submitted_twice(cluster, space):
    cluster.add("tune-demo-0000000000-1", "of another search")
    job = launch(space)
    cluster.add(f"{job.id_prefix}9", "an earlier one", JobStatus.FAILED, driver_exit_code=3)
    cluster.add(f"{job.id_prefix}10", f"exec env {job.command_there}")
    for same in (job, resumption()):
        cluster.chunks = [["done\n"]]
        code, said = followed(same)
        assert (code, said[-1]) == (0, "done")
        assert said[0].startswith(f"found the job {job.id_prefix}10,")
    assert len(cluster.known) == 3


def test_what_asks_for_more_than_the_running_job_does_is_refused(cluster, space):
    cluster.add(f"{launch(space).id_prefix}1", f"exec env {launch(space).command_there}")
    for other in (resumption("--num-samples", "9"), launch(space, arguments=[space, "--name", "demo"])):
        with pytest.raises(UserError, match=r"(?s)-1 works on /runs/demo, by another command: exec.*ray job stop"):
            followed(other)
    assert len(cluster.known) == 1


@pytest.mark.parametrize(
    ("status", "code", "anew"),
    [
        (JobStatus.SUCCEEDED, 0, False),
        (JobStatus.FAILED, 2, True),
        (JobStatus.FAILED, 3, True),
        (JobStatus.STOPPED, None, True),
    ],
)
def test_an_ended_launch_is_submitted_anew_unless_it_is_done(cluster, space, status, code, anew):
    job = launch(space)
    cluster.add(f"{job.id_prefix}1", f"exec env {job.command_there}", status, driver_exit_code=code)
    followed(job)
    assert [details.submission_id for details in cluster.known[1:]] == [f"{job.id_prefix}2"] * anew


def test_a_resumption_is_always_submitted_anew(cluster):
    for number in (1, 2):
        cluster.chunks = [[]]
        followed(resumption())
        cluster.known[-1] = cluster.get_job_info(cluster.known[-1].submission_id)
        assert len(cluster.known) == number


def test_the_same_command_given_twice_at_once_is_one_job(cluster, monkeypatch):
    def submitted_elsewhere(self, *, entrypoint, submission_id, runtime_env):
        self.add(submission_id, entrypoint)
        raise RuntimeError("Request failed with status code 500: already exists")

    monkeypatch.setattr(Cluster, "submit_job", submitted_elsewhere)
    assert followed(resumption())[0] == 0
    assert len(cluster.known) == 1


def test_what_the_cluster_does_not_take_is_an_error(cluster, monkeypatch):
    def broken(self, **job):
        raise RuntimeError("Request failed with status code 500: no agent")

    monkeypatch.setattr(Cluster, "submit_job", broken)
    with pytest.raises(UserError, match="http://head:8265 does not take the job: Request failed.*no agent"):
        followed(resumption())


def test_after_a_lost_connection_no_line_is_said_twice_or_left_out(cluster):
    lost = RuntimeError("WebSocket connection closed unexpectedly")
    cluster.chunks = [["1\n2\n3", lost], [lost], ["1\n", lost], ["1\n2\n", "3\n4\n"]]
    code, said = followed(resumption())
    assert code == 0
    assert [line for line in said if line.isdigit()] == ["1", "2", "3", "4"]
    assert sum("lost the connection (WebSocket connection closed" in line for line in said) == 1


def test_a_cluster_that_stays_away_is_given_up_and_says_how_to_go_on(cluster, monkeypatch):
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 0.0)
    cluster.chunks = [["1\n", OSError("no route")], [OSError("no route")], [OSError("no route")]]
    code, said = followed(resumption())
    assert code == 3
    assert "no route" in said[-1]
    assert "to find it again:  python tune.py --resume /runs/demo --address http://head:8265" in said[-1]


def test_silence_is_no_end(cluster, monkeypatch):
    import asyncio

    monkeypatch.setattr(following, "SILENCE_SECONDS", 0.01)
    states = iter([JobStatus.RUNNING, JobStatus.RUNNING, JobStatus.SUCCEEDED])
    monkeypatch.setattr(
        Cluster, "get_job_info", lambda self, job_id: self.known[0].model_copy(
            update={"status": next(states), "driver_exit_code": 0}
        ),
    )  # fmt: skip

    async def silent(self, job_id):
        yield "1\n"
        await asyncio.sleep(60)

    monkeypatch.setattr(Cluster, "tail_job_logs", silent)
    code, said = followed(resumption())
    assert (code, said[1:]) == (0, ["1"])


def test_ctrl_c_leaves_the_job(cluster):
    cluster.chunks = [["1\n", KeyboardInterrupt()]]
    code, said = followed(resumption())
    assert code == 3
    assert "left the job, which goes on" in said[-1]
    assert "ray job stop --address http://head:8265 tune-demo-" in said[-1]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"status": JobStatus.SUCCEEDED, "driver_exit_code": 0}, 0),
        ({"status": JobStatus.FAILED, "driver_exit_code": 2}, 2),
        ({"status": JobStatus.FAILED, "driver_exit_code": 3}, 3),
        ({"status": JobStatus.FAILED, "driver_exit_code": 4}, 4),
        ({"status": JobStatus.FAILED, "driver_exit_code": -9}, 3),  # killed
        ({"status": JobStatus.STOPPED, "driver_exit_code": None}, 3),
        ({"status": JobStatus.FAILED, "driver_exit_code": None, "driver_node_id": "n"}, 3),  # its node died
    ],
)
def test_the_exit_code_is_the_drivers(cluster, fields, code):
    cluster.becomes = fields
    assert followed(resumption())[0] == code


def test_a_job_that_never_started_is_an_error():
    details = JobDetails(type=JobType.SUBMISSION, status=JobStatus.FAILED, entrypoint="x", message="runtime_env failed")
    with pytest.raises(UserError, match="could not start the job: runtime_env failed"):
        exit_code(details)


@pytest.mark.parametrize("missing", ["aiohttp", "requests", "ray.job_submission"])
def test_what_is_missing_is_named_with_the_command_that_installs_it(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=r"more of Ray than is installed here \(.*pip install 'ray\[default\]'"):
        run_job(ADDRESS, resumption(), print)


def test_where_nobody_listens_is_an_error_that_says_what_may_be_the_matter():
    with pytest.raises(UserError, match=r"(?s)can't connect to .* --address http://127.0.0.1:1: .*--dashboard-host"):
        run_job("http://127.0.0.1:1", resumption(), print)
