"""The files in cluster/: what they say is what Ray and the commands take; the job scripts on real raylets.

The schedulers are stand-ins that run on this machine what they are given: no more than the scripts ask of them.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from scale_tune.cli.tune import tune_app
from scale_tune.ledger.studies import read_trials
from scale_tune.spec.loading import load_spec
from scale_tune.storage.rundir import RunDir
from scale_tune.tables.collect import load_results
from scale_tune.workflows.evaluate import evaluate
from tests.conftest import REPOSITORY
from tests.support.jobs import CLUSTER, Job, executable
from tests.support.runs import fast_spec, make_run

SCRIPTS = sorted(path.name for path in CLUSTER.glob("*.sh"))


def parsed(arguments: list[str]) -> dict[str, object]:
    """Options by name, as tune.py takes them; it is an error if it doesn't."""
    with typer.main.get_command(tune_app).make_context("tune", list(arguments)) as context:
        return context.params


# What is written is right


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_bash(script):
    subprocess.run(["bash", "-n", CLUSTER / script], check=True)


def test_the_ray_cluster_is_valid_by_rays_schema():
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load((CLUSTER / "ray-cluster.yaml").read_text()))
    validate_config(config)
    with pytest.raises(Exception, match="'clustername' was unexpected"):
        validate_config(config | {"clustername": "x"})


def block_of_the_readme(heading: str) -> str:
    """The first commands of a section."""
    section = (CLUSTER / "README.md").read_text().split(f"## {heading}\n")[1]
    return section.split("```")[1].partition("\n")[2]


def test_what_is_copied_home_can_be_analysed_there(tmp_path):
    spec = fast_spec(methods=["erm_target"], num_samples=3, epochs=2)
    run = make_run(tmp_path / "runs", spec, leave_running="erm_target-00001", name="dominoes")
    (run.path / ".lock").write(b"")
    copying, analysing = block_of_the_readme("Getting results home").splitlines()
    left_out = [word.partition("=")[2] for word in shlex.split(copying) if word.startswith("--exclude=")]
    home = tmp_path / "home"
    shutil.copytree(tmp_path / "runs", home / "runs", ignore=shutil.ignore_patterns(*left_out))
    assert not list(home.rglob(".*")) + list(home.rglob("checkpoint-*"))
    shutil.move(tmp_path / "runs", tmp_path / "of the cluster")

    *command, directory = shlex.split(analysing)
    assert command == ["python", "analyze.py"]
    evaluate([RunDir(home / directory)], (), None, lambda line: None)
    there, here = (load_results(path / "dominoes") for path in (tmp_path / "of the cluster", home / "runs"))
    assert here["trials"]["objective"].equals(there["trials"]["objective"])
    ended = there["epochs"]["trial"] != "erm_target-00001"  # of which what it did so far is in its checkpoint
    assert here["epochs"].equals(there["epochs"][ended].reset_index(drop=True))


def test_commands_in_a_container_are_those_of_the_path(tmp_path):
    lines = block_of_the_readme("The environment of a job")
    inside = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    apptainer = f'[ "$1" = exec ] || exit 0; echo "$@" >>called; shift 3; PATH={inside} exec "$@"'
    executable(tmp_path / "bin", "apptainer", apptainer)
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    script = f"set -e\n{lines}\npython -c 'import sys; print(*sys.argv[1:])' 'two words'"
    result = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("two words\n", "")
    assert (tmp_path / "called").read_text().startswith(f"exec --nv {tmp_path}/scale-tune.sif python -c ")


@pytest.mark.parametrize("script", ["slurm.sh", "slurm_array.sh"])
def test_prepared_data_are_copied_to_the_nodes_own_disk(script, tmp_path):
    shared, disk = tmp_path / "shared", tmp_path / "disk"
    (shared / "digits-0").mkdir(parents=True)
    disk.mkdir()
    source = (CLUSTER / script).read_text().replace("/shared/scale-tune-cache", str(shared))
    lines = [
        line.removeprefix("# ") for line in source.splitlines() if line.startswith("#") and "SCALE_TUNE_CACHE" in line
    ]
    assert len(lines) == 2
    executable(tmp_path / "bin", "srun", 'while [[ $1 == -* ]]; do shift; done; exec "$@"')
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SLURM_TMPDIR": str(disk), "SLURM_JOB_ID": "17"}
    subprocess.run(["bash", "-euc", "\n".join(lines)], env=environment, check=True)
    assert (disk / "scale-tune-17" / "digits-0").is_dir()


def ray_job() -> tuple[dict, dict]:
    """The volume claim and the job of rayjob.yaml."""
    claim, job = yaml.safe_load_all((CLUSTER / "rayjob.yaml").read_text())
    return claim, job


def ray_groups() -> list[dict]:
    cluster = ray_job()[1]["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_the_ray_job_is_one_of_kuberays():
    _, job = ray_job()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"].keys() == {
        "entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec"
    }  # fmt: skip
    assert job["spec"]["backoffLimit"] > 0
    assert job["spec"]["rayClusterSpec"].keys() == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    head, *workers = ray_groups()
    assert head.keys() == {"rayStartParams", "template"}
    for group in workers:
        assert group.keys() == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
    for group in (head, *workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_the_ray_job_has_the_ray_of_its_image():
    version = ray_job()[1]["spec"]["rayClusterSpec"]["rayVersion"]
    assert f"FROM rayproject/ray:{version}-py311\n" in (CLUSTER / "Dockerfile").read_text()


def test_the_ray_job_keeps_its_run_on_a_volume_that_all_pods_see():
    claim, job = ray_job()
    assert (claim["kind"], claim["spec"]["accessModes"]) == ("PersistentVolumeClaim", ["ReadWriteMany"])
    command = shlex.split(job["spec"]["entrypoint"])
    storage = Path(command[command.index("--storage") + 1])
    for group in ray_groups():
        (volume,) = group["template"]["spec"]["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        (container,) = group["template"]["spec"]["containers"]
        (mount,) = container["volumeMounts"]
        assert mount["name"] == volume["name"]
        assert storage.is_relative_to(mount["mountPath"])


def test_the_command_of_the_ray_job_is_taken(tmp_path):
    home = "/home/ray/scale-tune"
    assert f" {home}\n" in (CLUSTER / "Dockerfile").read_text()
    entrypoint = ray_job()[1]["spec"]["entrypoint"].replace(home, str(REPOSITORY))
    tune, *arguments = tune_command(tmp_path, shlex.split(entrypoint), run_exists=False)
    assert Path(tune).samefile(REPOSITORY / "tune.py")
    options = parsed(arguments)
    assert options["address"] == "auto"
    load_spec(Path(str(options["space"])), {}, None, None)


# Launch or resume


def tune_command(directory: Path, command: list, *, run_exists: bool) -> list[str]:
    """Which tune.py command is run in the end, by a Python that says so."""
    script = f'case " $* " in *" --dry-run "*) exit {0 if run_exists else 2} ;; esac; printf "%s\\n" "$@"'
    executable(directory / "python", "python", script)
    environment = os.environ | {"PATH": f"{directory / 'python'}:{os.environ['PATH']}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


LAUNCH = [
    "space.yaml", "--name", "x", "--storage=/shared/runs", "--methods", "erm,scale", "--set", "scheduler.name=none",
    "--set=space.lr={type: float, low: 1e-3, high: 1e-2}", "--seeds", "0,1", "--epochs=3", "--num-samples", "5",
    "--cpus-per-trial=2", "--address", "10.0.0.1:6379",
]  # fmt: skip


def test_a_run_that_is_not_there_is_launched(tmp_path):
    command = ["bash", CLUSTER / "launch_or_resume.sh", *LAUNCH]
    assert tune_command(tmp_path, command, run_exists=False)[1:] == LAUNCH
    assert parsed(LAUNCH)["name"] == "x"


def test_a_run_that_is_there_is_resumed_with_what_resume_takes(tmp_path):
    command = ["bash", CLUSTER / "launch_or_resume.sh", *LAUNCH]
    resume = tune_command(tmp_path, command, run_exists=True)[1:]
    assert resume == [
        "--resume", "/shared/runs/x", "--num-samples", "5", "--cpus-per-trial=2", "--address", "10.0.0.1:6379"
    ]  # fmt: skip
    assert str(parsed(resume)["resume"]) == "/shared/runs/x"


def test_failed_trials_are_tried_again_by_a_run_that_is_there(tmp_path):
    command = ["bash", CLUSTER / "launch_or_resume.sh", "space.yaml", "--retry-failed", "--name=x"]
    assert tune_command(tmp_path, command, run_exists=True)[1:] == ["--resume", "runs/x", "--retry-failed"]


@pytest.mark.parametrize(
    ("arguments", "run"),
    [
        (["space.yaml", "--name", "x", "--seeds", "0,1"], "runs/x"),
        (["--storage=s3://lab/runs/", "space.yaml", "--name=x"], "s3://lab/runs/x"),
        (["--resume", "/shared/runs/x", "--num-samples", "7"], "/shared/runs/x"),
        (["--resume=/shared/runs/x"], "/shared/runs/x"),
    ],
)
def test_where_the_run_is_can_be_asked(arguments, run, tmp_path):
    command = ["bash", CLUSTER / "launch_or_resume.sh", "--where", *arguments]
    assert tune_command(tmp_path, command, run_exists=True) == [run]


def test_a_run_is_sought_where_tune_would_put_it(tmp_path):
    command = ["bash", CLUSTER / "launch_or_resume.sh", "space.yaml", "--name=x"]
    assert tune_command(tmp_path, command, run_exists=True)[1:] == ["--resume", "runs/x"]


def test_an_explicit_resume_is_left_as_it_is(tmp_path):
    given = ["--resume", "runs/x", "--num-samples", "7", "--address", "auto"]
    command = ["bash", CLUSTER / "launch_or_resume.sh", *given]
    assert tune_command(tmp_path, command, run_exists=True)[1:] == given


def test_a_run_without_a_name_could_not_be_found_again():
    command = ["bash", CLUSTER / "launch_or_resume.sh", "space.yaml"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "--name" in result.stderr


@pytest.mark.parametrize("code", [3, 130, 143])
def test_who_is_told_to_stop_while_the_run_is_looked_for_starts_nothing(tmp_path, code):
    executable(tmp_path / "python", "python", f'echo "$@" >>{tmp_path}/called; exit {code}')
    environment = os.environ | {"PATH": f"{tmp_path / 'python'}:{os.environ['PATH']}"}
    command = ["bash", CLUSTER / "launch_or_resume.sh", "space.yaml", "--name=x"]
    assert subprocess.run(command, env=environment, check=False).returncode == code
    assert len((tmp_path / "called").read_text().splitlines()) == 1


# Jobs


@pytest.mark.parametrize(
    ("end", "code", "again"),
    [
        ("exit 0", 0, False),
        ("exit 1", 1, False),
        ("exit 2", 2, False),
        ("exit 3", 3, True),
        ("exit 4", 4, False),
        ("exit 130", 3, True),
        ("kill -KILL $$", 3, True),
    ],
)
def test_a_job_is_given_back_to_the_scheduler_if_its_search_can_go_on_and_not_if_it_has_failed(
    tmp_path, end, code, again
):
    """All but the search's end, and the time that it took, is played."""
    (tmp_path / "launch_or_resume.sh").write_text(end)
    script = f"""
        source {CLUSTER}/search_on_nodes.sh
        here={tmp_path} SECONDS=$((TOO_SOON + 1))
        ray() {{ :; }}
        start_ray() {{ address=here:1; }}
        requeue() {{ touch {tmp_path}/requeued; }}
        search 1 here space.yaml --name x
    """
    assert subprocess.run(["bash", "-c", script], capture_output=True, check=False).returncode == code
    assert (tmp_path / "requeued").exists() is again


@pytest.fixture
def slurm(tmp_path):
    job = Job(
        tmp_path,
        "slurm.sh",
        {
            "SLURM_JOB_ID": "17",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_CPUS_ON_NODE": "1",
            "SLURM_SUBMIT_DIR": str(REPOSITORY),
        },
    )
    executable(job.fakes, "srun", 'while [[ $1 == -* ]]; do shift; done; exec "$@"')
    executable(
        job.fakes,
        "scontrol",
        'case "$*" in "show hostnames node[1-2]") printf "localhost\\nlocalhost\\n" ;; '
        f'"requeue 17") echo again >>{tmp_path}/requeued ;; *) exit 1 ;; esac',
    )
    yield job
    job.kill()


@pytest.fixture
def pbs(tmp_path):
    nodes, time_is_up = tmp_path / "nodes", tmp_path / "time-is-up"
    nodes.write_text("localhost\nlocalhost\n127.0.0.1\n127.0.0.1\n")
    job = Job(tmp_path, "pbs.sh", {})
    executable(job.fakes, "qsub", f'cat >{tmp_path}/submitted; echo "$*" >>{tmp_path}/options; echo 17.server')
    executable(
        job.fakes,
        "qstat",
        '[ "$*" = "-f 17.server" ] && printf "    Resource_List.%s\\n" '
        '"mpiprocs = 4" "ncpus = 2" "nodect = 2" "walltime = 01:02:03"',
    )
    executable(job.fakes, "pbsdsh", '[ "$1 $2 $3" = "-n 2 --" ] || exit 1; shift 3; exec env -i $PBS_KEEPS "$@"')
    # An hour is over when the test says so.
    hour = f'echo "$1" >>{tmp_path}/slept; until [ -e {time_is_up} ]; do /bin/sleep 0.1; done'
    executable(job.fakes, "sleep", f'if (($1 > 100)); then {hour}; else exec /bin/sleep "$@"; fi')
    job.in_job = {
        "PBS_JOBID": "17.server",
        "PBS_NODEFILE": str(nodes),
        "PBS_O_WORKDIR": str(REPOSITORY),
        "PBS_O_PATH": job.environment["PATH"],
        "PBS_KEEPS": f"HOME={tmp_path} PYTHONPATH={REPOSITORY} {job.mark}",
        "PATH": "/usr/bin:/bin",
    }
    yield job
    job.kill()


@pytest.mark.ray
@pytest.mark.drill
class TestSlurm:
    def test_a_search_on_two_nodes_ends_and_leaves_nothing(self, slurm):
        process = slurm.start()
        slurm.wait_until(lambda: len(slurm.processes("raylet/raylet")) == 2, process)
        assert slurm.end(process) == 0, slurm.log.read_text()
        slurm.assert_done(1)
        assert not (slurm.directory / "requeued").exists()

    def test_before_the_time_limit_it_is_requeued_and_goes_on(self, slurm):
        long = ["--epochs", 60]
        process = slurm.start(*long)
        slurm.wait_until(lambda: slurm.epochs() > 2, process)
        os.kill(process.pid, signal.SIGUSR1)  # Slurm sends it to the script alone
        assert slurm.end(process) == 3, slurm.log.read_text()
        assert (slurm.directory / "requeued").read_text() == "again\n"
        assert any(not trial.state.ended for trial in read_trials(slurm.run / "ledger.log"))
        assert "Traceback" not in slurm.log.read_text()

        assert slurm.end(slurm.start(*long)) == 0, slurm.log.read_text()
        slurm.assert_done(60)
        assert (slurm.directory / "requeued").read_text() == "again\n"

    def test_a_cancelled_job_is_not_requeued(self, slurm):
        process = slurm.start("--epochs", 60)
        slurm.wait_until(lambda: slurm.epochs() > 2, process)
        os.kill(process.pid, signal.SIGTERM)
        assert slurm.end(process) == 3, slurm.log.read_text()
        assert "tune.py --resume" in slurm.log.read_text()
        assert not (slurm.directory / "requeued").exists()

    def test_time_that_is_up_before_the_search_begins_is_no_loss(self, slurm):
        process = slurm.start()
        slurm.wait_until(lambda: slurm.processes("raylet/raylet"), process)
        os.kill(process.pid, signal.SIGUSR1)
        assert slurm.end(process) == 3, slurm.log.read_text()
        assert (slurm.directory / "requeued").read_text() == "again\n"

    def test_bad_input_ends_the_job_with_its_code(self, slurm):
        assert slurm.end(slurm.start("--methods", "magic")) == 2
        assert "magic" in slurm.log.read_text()
        assert not (slurm.directory / "requeued").exists()

    def test_a_node_that_does_not_come_ends_the_job_in_time(self, slurm):
        executable(slurm.fakes, "srun", "exec sleep 1000")
        assert slurm.end(slurm.start(NODES_LIMIT="5")) == 1
        assert "fewer than 2 nodes" in slurm.log.read_text()

    def test_a_node_that_fails_ends_the_job_at_once(self, slurm):
        executable(slurm.fakes, "srun", "echo no such node; exit 1")
        assert slurm.end(slurm.start()) == 1
        assert "no such node" in slurm.log.read_text()


@pytest.mark.ray
@pytest.mark.drill
def test_a_pbs_job_submits_itself_again_until_the_search_is_done(pbs):
    tricky = ["--epochs", 60, "--set", "space.lr={type: float, low: 1e-3, high: 0.1, log: true}"]
    submitted, options = pbs.directory / "submitted", pbs.directory / "options"
    assert pbs.start(*tricky, QSUB="-l walltime=01:02:03").wait(30) == 0
    script = submitted.read_text()
    assert script.startswith("#PBS -N scale-tune\n")

    process = pbs.start_command(["bash", submitted.rename(pbs.directory / "first")], **pbs.in_job)
    pbs.wait_until(lambda: pbs.epochs() > 2, process)
    assert len(pbs.processes("raylet/raylet")) == 2
    slept = int((pbs.directory / "slept").read_text())
    assert 0 <= 3600 + 2 * 60 + 3 - 300 - slept < 10
    (pbs.directory / "time-is-up").touch()
    assert pbs.end(process) == 3, pbs.log.read_text()
    assert submitted.read_text() == script
    assert options.read_text() == "-l walltime=01:02:03\n" * 2
    assert any(not trial.state.ended for trial in read_trials(pbs.run / "ledger.log"))

    (pbs.directory / "time-is-up").unlink()
    assert pbs.end(pbs.start_command(["bash", submitted], **pbs.in_job)) == 0, pbs.log.read_text()
    pbs.assert_done(60)
    assert options.read_text() == "-l walltime=01:02:03\n" * 2
