"""Ends a driver whose Ray has died. Ray itself would end the process after a minute, without a word on resuming."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from scale_tune.search.stopping import Stop

LOOK_SECONDS = 2.0
PATIENCE_SECONDS = 40.0
"""A head that is restarted, as on Kubernetes, may be away for so long."""
GRACE_SECONDS = 10.0
"""For ending in good order, which may wait for Ray for ever."""


@contextmanager
def watchdog(gcs_address: str, stop: Stop) -> Iterator[None]:
    """Have the search stop when nobody has listened at the address of Ray's head for a while."""
    ended = threading.Event()
    threading.Thread(target=_watch, args=(gcs_address, stop, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _watch(gcs_address: str, stop: Stop, ended: threading.Event) -> None:
    host, _, port = gcs_address.rpartition(":")
    heard = time.monotonic()
    while not ended.wait(LOOK_SECONDS):
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            heard = time.monotonic()
        except OSError:
            if time.monotonic() - heard > PATIENCE_SECONDS:
                break
    else:
        return
    stop.wish(f"Ray's head at {gcs_address} does not answer")
    if not ended.wait(GRACE_SECONDS):
        stop.end_at_once()
