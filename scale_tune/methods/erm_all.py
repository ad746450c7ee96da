"""``erm_all``: empirical risk minimisation on train and target as one set: what plain training makes of all images."""

from typing import Any

from scale_tune.methods.erm import Erm


class ErmAll(Erm):
    """Cross-entropy on train and target."""

    refit_by_dfr = False

    @classmethod
    def pools(cls, options: Any) -> bool:
        """Always."""
        return True
