"""Optuna's journal file with a hash in each line, of the line and of the one before it.

So no line can be changed, left out, doubled or moved in silence. What was cut off the end shows by what trials have
left behind (:func:`scale_tune.ledger.studies.check_covers`). Optuna ignores the hash: its own tools read a copy of the
file, and what they write into the ledger itself has none.
"""

import hashlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

CHAIN = "chain"
DIGITS = 16


class ChainedJournal(JournalFileBackend):
    """A journal that one process appends to, and that others may read meanwhile.

    Args:
        path: the file, which is there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._read = 0
        """Lines."""
        self._offset = 0
        """Bytes of these."""
        self._last = ""
        """The hash of the last of them."""

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The lines from this one on, which is the next one that was not read yet.

        Raises:
            ValueError: a line is not what was written, or does not follow the one before it.
        """
        if log_number_from != self._read:
            raise ValueError(f"line {log_number_from + 1} is asked for after line {self._read}")
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # it is being written, or its writer was killed
                log = self._checked(line)
                self._read += 1
                self._offset += len(line)
                yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines after all those that were read, which are all that there are, as Optuna does."""
        last, chained = self._last, []
        for log in logs:
            last = _hash(last, log)
            chained.append({**log, CHAIN: last})
        super().append_logs(chained)

    def _checked(self, line: bytes) -> dict[str, Any]:
        where = f"line {self._read + 1}"
        try:
            log = json.loads(line)
            found = log.pop(CHAIN)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{where} is none of a ledger's: {error!r:.200}") from None
        if found != _hash(self._last, log):
            raise ValueError(f"{where} was edited or damaged, or lines before it are missing")
        self._last = found
        return dict(log)


def _hash(before: str, log: dict[str, Any]) -> str:
    """Of what a line says, in whichever way it is written."""
    return hashlib.sha256(f"{before}{json.dumps(log)}".encode()).hexdigest()[:DIGITS]
