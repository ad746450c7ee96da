"""``projection``: a control of SCALE that removes conflict instead of weighing agreement.

Where the two gradients of a group of kernels point apart (g_tr . g_tg < 0), the part of g_tr along g_tg is removed, as
A-GEM does for a whole network (Chaudhry et al., 2019, eq. 11) and one of the two sides of PCGrad (Yu et al., 2020,
Algorithm 1); elsewhere both are added:

    d = g_tr - min(0, g_tr . g_tg) / |g_tg|^2 * g_tg + g_tg

Groups, heads, batches and the optimizer are SCALE's.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from scale_tune.methods.method import MethodOptions
from scale_tune.methods.two_gradients import TwoGradients
from scale_tune.spec.frozen import MOST
from scale_tune.spec.parameters import searched

if TYPE_CHECKING:
    from torch import Tensor


class ProjectionOptions(MethodOptions):
    """Its own hyperparameter."""

    group_size: int = Field(default=64, ge=1, le=MOST, json_schema_extra=searched(type="choice", values=[1, 4, 16, 64]))
    """Number of consecutive convolution kernels that are projected as one vector."""


class Projection(TwoGradients):
    """SCALE's loop with a projection in the place of the task weight."""

    Options = ProjectionOptions

    def combine(self, train_grad: "Tensor", target_grad: "Tensor") -> "tuple[Tensor, Tensor]":
        """Both gradients, without what of train's points against target's."""
        return project_gradients(train_grad, target_grad, self.options.group_size)


def project_gradients(train_grad: "Tensor", target_grad: "Tensor", group_size: int) -> "tuple[Tensor, Tensor]":
    """Combine the two gradients of one parameter tensor, group by group.

    Args:
        train_grad: g_tr, of the parameter's shape.
        target_grad: g_tg, of the same shape.
        group_size: as for SCALE.

    Returns:
        d of the module's equation, of the parameter's shape, and the cosine of each group, (number of groups,).
    """
    from scale_tune.methods.gradients import COSINE_EPS, cosine_of_rows, in_groups, ungrouped

    g_tr, g_tg = (in_groups(gradient, group_size) for gradient in (train_grad, target_grad))
    against = (g_tr * g_tg).sum(dim=1, keepdim=True).clamp(max=0)
    along = against / g_tg.square().sum(dim=1, keepdim=True).clamp(min=COSINE_EPS**2)
    combined = ungrouped(g_tr - along * g_tg + g_tg, train_grad.shape)
    return combined, cosine_of_rows(g_tr, g_tg)
