"""``erm_all``: empirical risk minimisation on train and target as one set: what plain training makes of all images."""

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import MethodOptions


class ErmAll(Erm):
    """Cross-entropy on train and target."""

    refit_by_dfr = False

    @classmethod
    def pools(cls, options: MethodOptions) -> bool:
        """Always."""
        return True
