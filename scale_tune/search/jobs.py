"""Commands that run as jobs on a cluster's head node, started from outside by ``http://head:8265``.

A job goes on whatever becomes of the process that submitted it. Its id is made of what it works on, so that the same
command finds it again. On the cluster it is a driver like any other, with the cluster's paths; here its log is
followed, and its exit code returned.
"""

import hashlib
import logging
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayError

from scale_tune.errors import NoResultError, UserError
from scale_tune.search.carried import job_directory, places
from scale_tune.search.stopping import STOPPED, Stop
from scale_tune.shown import masked
from scale_tune.storage.provenance import COMMAND_VARIABLE, COMMIT_VARIABLE, git_commit

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

STOP_SECONDS = 60
"""How long a job that is stopped may take to end in good order; Ray's own three are too few for a busy machine."""
ANSWER_SECONDS = 10
"""For the cluster to answer at all."""
FAILURES = (OSError, RuntimeError, ValueError, KeyError, RayError)
"""What Ray's client raises where a request fails, or the answer is not a Ray cluster's."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command that is to run on a cluster.

    Args:
        command: ``tune`` or ``analyze``.
        arguments: of the command, without an address. A :class:`~pathlib.Path` is a file here, which is taken along;
            paths on the cluster are text.
        works_on: the run's directory, or what else no two commands may work on at once.
        files: further files that are taken along, in the layout that they have here.
        environment: what it is to find in its environment, besides the cluster's.
        once: whether nothing is left to do when it has ended well.
        plain: whether it asks for nothing but that somebody works on it.
    """

    command: str
    arguments: Sequence[str | Path]
    works_on: str
    files: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    once: bool = False
    plain: bool = False

    @property
    def taken_along(self) -> list[Path]:
        """All files that it needs."""
        return [*(argument for argument in self.arguments if isinstance(argument, Path)), *self.files]

    @property
    def id_prefix(self) -> str:
        """Of the ids under which it was and will be submitted; a number follows."""
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", self.works_on.rstrip("/").rpartition("/")[2])[:40]
        digest = hashlib.sha256(f"{self.command} {self.works_on}".encode()).hexdigest()[:10]
        return f"{self.command}-{name}-{digest}-"

    @property
    def command_there(self) -> str:
        """The command line on the cluster."""
        place = places(self.taken_along)
        words = [str(place[word] if isinstance(word, Path) else word) for word in self.arguments]
        return shlex.join(["python", "-m", "scale_tune.cli.entry", self.command, *words])

    def command_here(self, address: str) -> str:
        """The command line as it is given here, but for what is secret in it."""
        return masked(shlex.join(["python", f"{self.command}.py", *map(str, self.arguments), "--address", address]))

    def hints(self, address: str, job_id: str) -> str:
        """How it is found again, and stopped."""
        return (
            f"  to find it again:  {self.command_here(address)}\n"
            f"  to stop it:        ray job stop --address {address} {job_id}"
        )


def run_job(address: str, job: Job, say: Callable[[str], None]) -> int:
    """Run a command on a cluster, or find it running there, and follow it to its end.

    Args:
        address: of the cluster's dashboard, as ``http://head:8265``.
        job: the command.
        say: called with each line of its log, and with what there is to know of the job.

    Returns:
        Its exit code. :data:`STOPPED` if it was stopped, or still runs and was left.

    Raises:
        UserError: there is no such cluster, it can't run the job or is at it by another command, or what submits
            jobs is not installed here.
    """
    client = _client(address)
    from scale_tune.search.following import ConnectionLostError, follow

    try:
        job_id = _found(client, address, job, say) or _submit(client, address, job, say)
    except FAILURES as error:
        raise UserError(f"the cluster at --address {address} does not take the job: {_short(error)}") from None
    try:
        with Stop(interrupts=True):  # whoever ends this process leaves the job alone
            details = follow(client, job_id, say)
    except KeyboardInterrupt:
        say(f"\nleft the job, which goes on\n{job.hints(address, job_id)}")
        return STOPPED
    except ConnectionLostError as error:
        say(f"gave up: {_short(error)}. If the cluster is there, the job goes on\n{job.hints(address, job_id)}")
        return STOPPED
    code = exit_code(details)
    if code in (STOPPED, NoResultError.exit_code):
        say(f"from here, give --address {address} as well")
    return code


def exit_code(details: "JobDetails") -> int:
    """What an ended job's driver ended with.

    Raises:
        UserError: the cluster could not start it.
    """
    code = details.driver_exit_code
    if details.status == "STOPPED" or (code is not None and code < 0):  # it was told to stop, or killed
        return STOPPED
    if code is not None:
        return int(code)
    if details.driver_node_id is not None:  # it had been started; its node or its keeper has died
        return STOPPED
    raise UserError(f"the cluster could not start the job: {_short(details.message)}")


def _client(address: str) -> Any:
    try:
        # Without aiohttp, Ray's client fails only when the job is there.
        import aiohttp  # noqa: F401
        import requests
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise UserError(
            f"--address {address} submits a job, which needs more of Ray than is installed here ({error}): "
            "pip install 'ray[default]'"
        ) from None
    try:
        requests.get(f"{address}/api/version", timeout=ANSWER_SECONDS)  # Ray's client would wait without end
    except (requests.RequestException, ValueError) as error:
        raise UserError(
            f"can't connect to a Ray cluster at --address {address}: {_short(error)}; see that its dashboard runs: "
            "unless ray start is given --dashboard-host=0.0.0.0, only the head node itself reaches it"
        ) from None
    os.environ["RAY_API_SERVER_ADDRESS"] = address  # Ray prefers $RAY_ADDRESS to what the client is given
    for handler in logging.getLogger("ray").handlers:  # each upload and connection is told otherwise
        handler.setLevel(logging.WARNING)
    try:
        return JobSubmissionClient(address)
    except FAILURES as error:
        raise UserError(f"no Ray cluster takes jobs at --address {address}: {_short(error)}") from None


def _found(client: Any, address: str, job: Job, say: Callable[[str], None]) -> str | None:
    """The id of the job if it was submitted before and need not be again."""
    earlier = _submitted(client, job)
    if not earlier:
        return None
    last = earlier[max(earlier)]
    job_id, same = str(last.submission_id), last.entrypoint.endswith(f" {job.command_there}")
    if not last.status.is_terminal():
        if not (same or job.plain):
            raise UserError(
                f"the job {job_id} works on {job.works_on}, by another command: {last.entrypoint}; "
                f"let it end, or stop it by\n  ray job stop --address {address} {job_id}"
            )
        say(f"found the job {job_id}, which is at it, also without this terminal\n{job.hints(address, job_id)}")
    elif same and job.once and last.driver_exit_code == 0:
        say(f"found the job {job_id}, which has done it; for a new search, give another --name")
    else:
        return None
    return job_id


def _submit(client: Any, address: str, job: Job, say: Callable[[str], None]) -> str:
    number = max(_submitted(client, job), default=0) + 1
    job_id = f"{job.id_prefix}{number}"
    # The first is read by the job's keeper. What the driver tells its workers can't be among these, or Ray refuses it.
    variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), COMMAND_VARIABLE: job.command_here(address)}
    if commit := git_commit():
        variables[COMMIT_VARIABLE] = commit
    told = shlex.join(["env", *(f"{name}={value}" for name, value in job.environment.items())])
    entrypoint = f"exec {told} {job.command_there}"  # instead of the shell: signals reach Python alone
    with job_directory(job.taken_along) as directory:
        environment = {"working_dir": str(directory), "env_vars": variables}
        try:
            client.submit_job(entrypoint=entrypoint, submission_id=job_id, runtime_env=environment)
        except RuntimeError:
            if number not in _submitted(client, job):  # or the same command was given elsewhere just now
                raise
    say(f"submitted the job {job_id}, which goes on without this terminal\n{job.hints(address, job_id)}")
    return job_id


def _submitted(client: Any, job: Job) -> dict[int, "JobDetails"]:
    """The jobs that were submitted to work on the same, by number."""
    jobs = {details.submission_id or "": details for details in client.list_jobs()}
    numbers = {job_id: job_id.removeprefix(job.id_prefix) for job_id in jobs if job_id.startswith(job.id_prefix)}
    return {int(number): jobs[job_id] for job_id, number in numbers.items() if number.isdigit()}


def _short(error: object) -> str:
    return f"{error}".strip()[-500:]
