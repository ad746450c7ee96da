"""Whether Ray answers at an address, which is known within seconds; Ray itself would try for many minutes."""

import os
import socket
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.parse import urlsplit

import ray._private.services as ray_services

from scale_tune.errors import UserError

AUTO = "auto"
SECONDS = 10.0
"""For each of the answers that are waited for."""
LIMIT_SECONDS = 25.0
"""For all of it; finding a host by its name has no limit of its own."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What who speaks HTTP/2 says first, with no settings (RFC 9113). Ray's head speaks it, and answers with its own."""
SETTINGS = 4
"""The fourth byte of that answer."""


def check_answers(address: str) -> None:
    """The head of a Ray cluster answers at an address.

    Args:
        address: as ``host:port`` or ``[::1]:6379``; ``auto`` is the cluster that Ray finds on this machine. What has no
            port is left to Ray.

    Raises:
        UserError: nobody does, or nobody who is Ray's head.
        ConnectionError: Ray finds no cluster on this machine.
    """
    found = address
    if address == AUTO:
        if own := os.environ.get("RAY_ADDRESS"):
            os.environ["RAY_ADDRESS"] = own.strip()  # which Ray takes as it is
        # What Ray will do, asked of Ray: it has no public way to tell.
        found = ray_services.canonicalize_bootstrap_address_or_die(AUTO)
    place = host_and_port(found)
    if place is None:
        return
    answers: SimpleQueue[OSError | None] = SimpleQueue()
    Thread(target=lambda: answers.put(_trouble(*place)), daemon=True).start()
    try:
        trouble = answers.get(timeout=LIMIT_SECONDS)
    except Empty:
        trouble = TimeoutError("it takes too long to find that host")
    if trouble is not None:
        named = address if found == address else f"{address}, which is {found}"
        raise UserError(
            f"can't connect to a Ray cluster at --address {named}: {trouble}; see that its head runs, or leave "
            "--address out to start Ray here"
        )


def host_and_port(address: str) -> tuple[str, int] | None:
    """The parts of an address, if it has a port.

    Raises:
        ValueError: it has, but it is no number.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    return None if parts.port is None else (parts.hostname or "", parts.port)


def _trouble(host: str, port: int) -> OSError | None:
    """Why there is no answer, if there is none."""
    try:
        with socket.create_connection((host, port), timeout=SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":  # it would not understand
                return None
            connection.sendall(GREETING)
            answer = connection.recv(9, socket.MSG_WAITALL)
    except TimeoutError:
        return TimeoutError(f"no answer in {SECONDS:g} s")
    except OSError as error:
        return error
    return None if answer[3:4] == bytes([SETTINGS]) else ConnectionError("who answers there is not the head of a Ray")
