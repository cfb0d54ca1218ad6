"""Whether a module still does what its library wrote.

Weights that are read in place of calling a part, and layers that are run one by one, are shorter ways to the same
result. They would pass by what a user has put into the usual one: a method of a subclass or of the object, a hook.
"""

from __future__ import annotations

import warnings
from operator import attrgetter

from torch import nn

_LIBRARIES = frozenset({"graphkit", "torch", "torch_geometric"})


def overridden(module: nn.Module, *methods: str) -> str | None:
    """The first of some methods that is not one of graphkit, PyG or torch; ``None`` if all are.

    Example:
        >>> class Scaled(nn.Linear):
        ...     def forward(self, input):
        ...         return 2 * super().forward(input)
        >>> overridden(Scaled(2, 2), "forward"), overridden(nn.Linear(2, 2), "forward")
        ('forward', None)
    """
    own, cls = vars(module), type(module)
    for name in methods:
        if name in own or getattr(cls, name).__module__.partition(".")[0] not in _LIBRARIES:
            return name
    return None


def has_hooks(module: nn.Module) -> bool:
    """Whether something is called before or after the module, or on the way back."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def as_written(module: nn.Module) -> bool:
    """Whether calling a module does what its class says, and nothing else.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> handle = layer.register_forward_hook(lambda *called: None)
        >>> as_written(layer), as_written(nn.Linear(2, 2))
        (False, True)
    """
    return overridden(module, "forward") is None and not has_hooks(module)


def check_as_written(owner: nn.Module, *names: str) -> None:
    """Check parts that are read without being called, such as a linear map whose weights are all that is wanted.

    Tools that summarise a network put hooks on everything in it, so hooks are warned of.

    Args:
        owner: Whose parts they are.
        *names: Their names, such as ``"layers.0"``; a part that is ``None`` is as written.

    Raises:
        ValueError: If a part has a forward of its own, which would have no effect.
    """
    for name in names:
        part = attrgetter(name)(owner)
        if part is None or as_written(part):
            continue
        text = f"{type(owner).__name__} reads its part {name!r} without calling it"
        if overridden(part, "forward"):
            raise ValueError(f"{text}, so the forward of this {type(part).__name__} would have no effect")
        warnings.warn(f"{text}, so hooks on it have no effect", stacklevel=3)
