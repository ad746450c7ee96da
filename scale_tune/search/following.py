"""A job's log, followed line by line from anywhere, until the job ends or this process has had enough of it."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

SILENCE_SECONDS = 60.0
"""After so long without a line, it is asked whether the job still runs: a dead connection is silent too."""
PATIENCE_SECONDS = 60.0
"""For a cluster that doesn't answer."""
RETRY_SECONDS = 2.0
FAILURES = (aiohttp.ClientError, OSError, RuntimeError)
"""What Ray's client raises when a request fails; those of ``requests`` are errors of the system's."""


class ConnectionLostError(Exception):
    """The cluster has not answered for a while."""


def follow(client: Any, job_id: str, say: Callable[[str], None]) -> "JobDetails":
    """Print a job's log from its beginning on, until the job has ended.

    Args:
        client: a ``JobSubmissionClient``.
        job_id: its submission id.
        say: called with each line.

    Returns:
        What became of the job.

    Raises:
        ConnectionLostError: the cluster did not answer for a while; the job may well run on.
    """
    log = _Log(say)
    lost: float | None = None  # since when
    while True:
        try:
            asyncio.run(_read(client, job_id, log))
            details: JobDetails = client.get_job_info(job_id)
        except FAILURES as error:
            if lost is None:
                lost = time.monotonic()
                say(f"lost the connection ({error}); trying again for {PATIENCE_SECONDS:g} s …")
            elif time.monotonic() - lost > PATIENCE_SECONDS:
                raise ConnectionLostError(str(error)) from None
            time.sleep(RETRY_SECONDS)
            continue
        lost = None
        if details.status.is_terminal():
            log.end()
            return details


async def _read(client: Any, job_id: str, log: "_Log") -> None:
    """Until the log has ended, or is silent for a while."""
    log.rewind()
    chunks = client.tail_job_logs(job_id)
    try:
        while True:
            log.take(await asyncio.wait_for(anext(chunks), SILENCE_SECONDS))
    except (StopAsyncIteration, TimeoutError):
        return


class _Log:
    """Puts lines together, and leaves out what was said already: each connection reads from the beginning."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._line = ""
        self._taken = self._position = 0

    def rewind(self) -> None:
        self._position = 0

    def take(self, chunk: str) -> None:
        new = chunk[max(0, self._taken - self._position) :]
        self._position += len(chunk)
        self._taken = max(self._taken, self._position)
        *lines, self._line = (self._line + new).split("\n")
        for line in lines:
            self._say(line)

    def end(self) -> None:
        if self._line:
            self._say(self._line)
