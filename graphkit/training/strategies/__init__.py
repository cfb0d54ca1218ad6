"""Training strategies: how a model's weights are changed by a batch (public as ``gk.strategies``)."""

from graphkit.core.registry import Registry
from graphkit.training.strategies.backprop import Backprop
from graphkit.training.strategies.base import Phase, Strategy
from graphkit.training.strategies.expert_turns import ExpertTurns
from graphkit.training.strategies.feedback_alignment import DirectFeedbackAlignment
from graphkit.training.strategies.forward_forward import ForwardForward
from graphkit.training.strategies.layer_collaboration import LayerCollaborationFF
from graphkit.training.strategies.local_to_global import LocalToGlobal
from graphkit.training.strategies.mlp_init import MLPInit
from graphkit.training.strategies.scalable_ff import ScalableFF
from graphkit.training.strategies.single_forward import SingleForward
from graphkit.training.strategies.target_projection import TargetProjection
from graphkit.training.strategies.top_down import TopDownForward

__all__ = [
    "Backprop",
    "DirectFeedbackAlignment",
    "ExpertTurns",
    "ForwardForward",
    "LayerCollaborationFF",
    "LocalToGlobal",
    "MLPInit",
    "Phase",
    "ScalableFF",
    "SingleForward",
    "Strategy",
    "TargetProjection",
    "TopDownForward",
    "registry",
]

registry: Registry[Strategy] = Registry("strategy", Strategy, __name__)
