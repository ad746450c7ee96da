"""Whether a method means anything on some data."""

from collections.abc import Mapping

from scale_tune.datasets.groups import Groups
from scale_tune.datasets.splits import SplitName, SplitPlan
from scale_tune.errors import UserError
from scale_tune.methods.method_registry import class_of
from scale_tune.spec.config import WITH_TARGET, TrialConfig


def check_defined(config: TrialConfig, plan: Mapping[SplitName, SplitPlan], groups: Groups) -> None:
    """See that a method which tells train's groups apart has more than one kind of them.

    Args:
        config: of a trial.
        plan: of its data.
        groups: how they are judged.

    Raises:
        UserError: it knows the attributes of train, but each class of it goes with one attribute alone.
    """
    cls = class_of(config)
    options = cls.Options.model_validate(config.options)
    if "train" not in cls.attributes_of or cls.pools(options):
        return
    train = plan["train"]
    if not groups.aligned[train.labels, train.attributes].all():
        return
    given = ", ".join(f"{name}={value}" for name, value in config.dataset.options.items())
    remedy = f"leave {config.method} out"
    if WITH_TARGET in cls.Options.model_fields:
        remedy = f"set {WITH_TARGET} to true in methods.{config.method}.space, so that it learns from target's as well"
    raise UserError(
        f"{config.method} goes by the groups of train, but on {config.dataset.name} ({given}) train has no conflicting "
        f"sample: every attribute is known from the label. Take data that has some, or {remedy}"
    )
