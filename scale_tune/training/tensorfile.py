"""Tensors in files: safetensors, with what is said of them in the header, sealed (:mod:`scale_tune.storage.seal`).

Nothing is pickled.
"""

from collections.abc import Mapping

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from scale_tune.storage.location import Location
from scale_tune.storage.seal import blank, check_seal, sealed
from scale_tune.training.trialdir import metadata_in

KIND = "tensors"
SEAL = "seal"


def save_tensors(path: Location, tensors: Mapping[str, Tensor], said: Mapping[str, str]) -> None:
    """Write tensors, with what is said of them in the header."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.write(*sealed(save(on_cpu, {**said, SEAL: blank(KIND)}), KIND))


def load_tensors(path: Location) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What is said of the tensors, and these.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not as it was written.
    """
    content = path.read()
    try:
        check_seal(content, KIND)
        return metadata_in(content), load(content)
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
