"""``erm_target``: empirical risk minimisation on the small balanced target set alone."""

from typing import TYPE_CHECKING, ClassVar

from scale_tune.methods.erm import Erm

if TYPE_CHECKING:
    from scale_tune.datasets.splits import SplitName


class ErmTarget(Erm):
    """Cross-entropy on target."""

    learns_from: "ClassVar[tuple[SplitName, ...]]" = ("target",)
    refit_by_dfr = False
