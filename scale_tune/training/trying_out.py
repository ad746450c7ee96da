"""A step of a trial before there is a search: whether it can be trained at all, and what is at fault if not."""

import traceback

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from scale_tune.datasets.joined import Joined
from scale_tune.datasets.splits import DatasetSplits
from scale_tune.datasets.transforms import normalise
from scale_tune.errors import UserError
from scale_tune.networks import build_classifier
from scale_tune.spec.config import TrialConfig
from scale_tune.training.replica import EVALUATION_BATCH, Replica


def try_out(config: TrialConfig, splits: DatasetSplits, device: torch.device) -> int:
    """Take a step of each stage on the first samples, to see whether method and model can train on such images at all.

    And whether the state that they then have can be saved and taken up, without which no trial gets past an epoch.

    Returns:
        How many features the network has.

    Raises:
        UserError: they can't; the message begins with the one of them that is at fault.
    """
    few = splits.head(max(config.hyperparameters.batch_size, EVALUATION_BATCH))
    doing = "take a step"
    try:
        replica = Replica(config, config.seeds[0], few, device)
        replica.take_one_step()
        num_features = replica.method.network.num_features
        doing = "be saved and taken up again"
        Replica(config, config.seeds[0], few, device).load_tensors(replica.tensors())
        return num_features
    except UserError:
        raise
    except torch.OutOfMemoryError:
        raise UserError(
            f"{device} has too little memory for {config.model.name} with a batch_size of "
            f"{config.hyperparameters.batch_size}; lower it, or give each trial more of the device"
        ) from None
    except Exception as raised:
        error, trace = raised, traceback.format_exc(limit=-3)
        if (of_network := _error_of_network(config, few, device)) is not None:
            error, trace = of_network
            shape = " x ".join(map(str, (3, *splits.info.input_size)))
            culprit = f"the model {config.model.name} can't train on {splits.name}'s images of {shape}"
            file, remedy = config.model.file, "choose another model.name"
        else:
            culprit = f"the method {config.method} can't {doing} with the model {config.model.name}"
            file, remedy = config.file, f"leave {config.method} out, or choose another model.name"
        remedy = remedy if file is None else f"mend your file {file}"
        raise UserError(f"{culprit}: {error!r}; {remedy}" + f"\n{trace}" * (file is not None)) from None


def _error_of_network(config: TrialConfig, splits: DatasetSplits, device: torch.device) -> tuple[Exception, str] | None:
    """What goes wrong with the network by itself, whatever the method, and its traceback; None if nothing does."""
    data = Joined(splits.train)
    indices = np.arange(min(config.hyperparameters.batch_size, len(data)))
    images = normalise(torch.from_numpy(data.images(indices)).to(device), splits.info)
    labels = torch.from_numpy(data.labels[indices]).to(device)
    num_classes = splits.info.groups.num_classes
    try:
        network = build_classifier(config.model, num_classes, ["train"], seed=0).to(device)
        cross_entropy(network.train()(images), labels).backward()  # type: ignore[no-untyped-call]
        network.eval()(images)
        build_classifier(config.model, num_classes, ["train"], seed=0).load_state_dict(network.state_dict())
    except Exception as error:
        return error, traceback.format_exc(limit=-3)
    return None
