"""Whether a method means anything on some data."""

from collections.abc import Mapping

from scale_tune.datasets.groups import Groups
from scale_tune.datasets.splits import SplitName, SplitPlan
from scale_tune.errors import UserError
from scale_tune.methods.method_registry import class_of
from scale_tune.spec.config import WITH_TARGET, TrialConfig


def check_defined(config: TrialConfig, plan: Mapping[SplitName, SplitPlan], groups: Groups) -> None:
    """See that a method which tells train's groups apart has more than one kind of them, also where target's join them.

    Args:
        config: of a trial.
        plan: of its data.
        groups: how they are judged.

    Raises:
        UserError: it knows the attributes of train, but each class of what it learns from as train goes with one
            attribute alone.
    """
    cls = class_of(config)
    pools = cls.pools(cls.Options.model_validate(config.options))
    learned: tuple[SplitName, ...] = ("train", "target") if pools else ("train",)
    if "train" not in cls.attributes_of or any(_has_conflicting(plan[split], groups) for split in learned):
        return
    given = ", ".join(f"{name}={value}" for name, value in config.dataset.options.items())
    remedy = f"leave {config.method} out"
    if WITH_TARGET in cls.Options.model_fields and not pools and _has_conflicting(plan["target"], groups):
        remedy = f"set {WITH_TARGET} to true in methods.{config.method}.space, so that it learns from target's as well"
    lack = "neither has a conflicting sample" if pools else "train has no conflicting sample"
    raise UserError(
        f"{config.method} goes by the groups of {' and '.join(learned)}, but on {config.dataset.name} ({given}) "
        f"{lack}: every attribute is known from the label. Take data that has some, or {remedy}"
    )


def _has_conflicting(split: SplitPlan, groups: Groups) -> bool:
    return not bool(groups.aligned[split.labels, split.attributes].all())
