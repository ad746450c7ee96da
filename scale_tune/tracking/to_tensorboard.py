"""TensorBoard: an event file for each seed, below the run's ``tensorboard/``, also where that is in an object store.

A file is a function of its curve and grows with it at its end. So what is there is either the beginning of what should
be, also where a writer was killed in the middle of it, and the rest is added to it, which a TensorBoard that is open
follows; or the file is of something else, as of a trial that was tried again, and is replaced.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from scale_tune.storage.location import Location
from scale_tune.tracking.curves import Curve
from scale_tune.tracking.tracker import Tracker

FILE = "events.out.tfevents.scale-tune"


class TensorBoard(Tracker):
    """See the module."""

    package = "tensorboardX"

    def write(self, curves: Sequence[Curve]) -> None:
        """A file for each seed."""
        for curve in curves:
            file = self._directory / curve.trial / f"seed-{curve.seed}" / FILE
            _bring_up(file, b"".join(map(_framed, _events(curve))))

    def how_to_look(self) -> str:
        """The command."""
        return f"tensorboard --logdir {self._directory}"

    @property
    def _directory(self) -> Location:
        return self.run.path / "tensorboard"


def _bring_up(file: Location, content: bytes) -> None:
    try:
        known = file.read()
    except FileNotFoundError:
        known = b""
    if known == content:
        return
    if file.local is not None and known and content.startswith(known):
        with file.local.open("ab") as stream:
            stream.write(content[len(known) :])
    else:
        file.write(content)


def _framed(event: bytes) -> bytes:
    """A record of TensorFlow's file format: length, its checksum, data, its checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(event))
    return length + struct.pack("<I", masked_crc32c(length)) + event + struct.pack("<I", masked_crc32c(event))


def _events(curve: Curve) -> Iterator[bytes]:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.summary import text

    def event(time: float, **content: Any) -> bytes:
        return bytes(Event(wall_time=time, **content).SerializeToString(deterministic=True))

    yield event(curve.started, file_version="brain.Event:2")
    yield event(curve.started, summary=_hparams("session_start_info", **_session_start(curve)))
    for point in curve.everything:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in point.values.items()]
        yield event(point.time, step=point.epoch, summary=Summary(value=values))
    if curve.state != "running":
        error = f"\n\n```\n{curve.error}\n```" if curve.error else ""
        yield event(curve.ended, summary=text("state", curve.state + error))
        yield event(curve.ended, summary=_hparams("session_end_info", **_session_end(curve)))


def _session_start(curve: Curve) -> dict[str, Any]:
    """What the HParams tab shows of it; the seeds of a trial are one group there."""
    from google.protobuf.struct_pb2 import Value

    def value_of(value: Any) -> Value:
        if isinstance(value, bool):
            return Value(bool_value=value)
        return Value(string_value=value) if isinstance(value, str) else Value(number_value=value)

    hparams = {name: value_of(value) for name, value in curve.config.items()}
    return {"hparams": hparams, "group_name": curve.trial, "start_time_secs": curve.started}


def _session_end(curve: Curve) -> dict[str, Any]:
    from tensorboardX.proto.api_pb2 import Status

    status = "STATUS_FAILURE" if curve.state in ("failed", "diverged") else "STATUS_SUCCESS"
    return {"status": Status.Value(status), "end_time_secs": curve.ended}


def _hparams(kind: str, **content: Any) -> Any:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    data = HParamsPluginData(version=0, **{kind: content}).SerializeToString(deterministic=True)
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data)
    return Summary(value=[Summary.Value(tag=f"_hparams_/{kind}", metadata=SummaryMetadata(plugin_data=plugin))])
