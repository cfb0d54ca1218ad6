"""What a class tells the common checks of :mod:`graphkit.testing` about itself, as scikit-learn's tags do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Checks:
    """Facts for the common checks: the attribute ``checks`` of a layer, aggregation, model or transform, inherited.

    Args:
        examples: The small instances to check: arguments of the constructor, or functions that build an instance.
            Arguments with usual names (``in_channels``, ``out_channels``, ``num_layers``, ...) need not be given.
            Facts about some examples alone stand in further ``Checks`` among them (default: one instance with nothing
            but these).
        sizes: Further arguments that all examples share (default: none).
        inputs: Arguments of a layer's ``forward`` that graphs do not have, such as a second state, as a function of the
            graph; every row may depend on ``x`` of its own node only (default: none).
        expected_failures: Checks that the class cannot pass, by name, each with the reason; one that passes in spite of
            it is an error (default: none).
        skip: Why there is nothing to check but the docstring, e.g. because the class does not read graphs (default:
            ``None``, all checks).
        claims: Of a layer or model that derives from nothing of graphkit's, checks that it passes although nobody asks
            it to: those of PyG's other ways to call a layer and of torch's tracers,
            :data:`graphkit.testing.CLAIMS` (default: none).
        same_as: The layer of another library, such as PyG's, whose outputs and gradients those of this class are, for
            the same arguments, the same state dict and all inputs that both take. It is asked of every example that
            gives arguments, and not of subclasses (default: ``None``).

    Example:
        >>> class Noisy:
        ...     checks = Checks([{"rate": 0.5}], expected_failures={"permutation": "noise is drawn by node number"})
        >>> checks_of(Noisy).examples, checks_of(dict).examples
        ([{'rate': 0.5}], ({},))
    """

    examples: Sequence[Mapping[str, Any] | Callable[[], Any] | Checks] = ({},)
    sizes: Mapping[str, Any] = field(default_factory=dict)
    inputs: Callable[[Any], Mapping[str, Any]] | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    skip: str | None = None
    claims: Collection[str] = ()
    same_as: Callable[..., Any] | None = None


def derives_from_graphkit(cls: type) -> bool:
    """Whether a class is of this library, or derives from one that is."""
    return any(base.__module__.partition(".")[0] == "graphkit" for base in cls.__mro__)


def checks_of(cls: type) -> Checks:
    """What a class says about its checks, or its base."""
    return getattr(cls, "checks", None) or Checks()


def untraced(reason: str, functional: bool = False) -> dict[str, str]:
    """The expected failures of a class that ``torch.compile``, ``torch.export`` and ``torch.func`` cannot take whole.

    Args:
        reason: Why not.
        functional: Whether the last one can (default: ``False``).
    """
    return dict.fromkeys(["compiled", "exported"] if functional else ["compiled", "exported", "functional"], reason)
