"""What docstrings take over from bases and siblings."""

from __future__ import annotations

import inspect

from graphkit.core.docstrings import arguments_of, inherit_sections


class Base:
    """A base.

    Args:
        size: The size (default: 1).

    Usual arguments:
        rate: The rate (default: ``None``).

    Shapes:
        - **input:** ``[n]``
        - **output:** ``[n, 1]``,
          or ``[1]``

    Raises:
        ValueError: If something is wrong.

    Example:
        >>> 1
        1
    """

    def __init__(self, size: int = 1) -> None: ...


class Own(Base):
    """A subclass.

    Args:
        name: The name.

    Shapes:
        - **input:** ``[n, 2]``
        - **index:** ``[n]``

    Cost: none.
    """

    def __init__(self, name: str, rate: float = 0.5, size: int = 2) -> None: ...


class Words(Base):
    """Another.

    Shapes:
        As it comes.

    Raises:
        TypeError: Never.
    """


def test_a_class_tells_what_its_bases_tell_of_what_it_leaves_out() -> None:
    inherit_sections(Own)
    assert Own.__doc__ == inspect.cleandoc(
        """A subclass.

        Args:
            name: The name.
            rate: The rate (default: 0.5).
            size: The size (default: 2).

        Shapes:
            - **input:** ``[n, 2]``
            - **output:** ``[n, 1]``,
              or ``[1]``
            - **index:** ``[n]``

        Raises:
            ValueError: If something is wrong.

        Cost: none."""
    )


def test_sections_of_its_own_stay() -> None:
    inherit_sections(Words)
    assert "Shapes:\n    As it comes.\n" in Words.__doc__
    assert "TypeError: Never." in Words.__doc__
    assert "ValueError" not in Words.__doc__


def test_a_function_tells_what_its_siblings_tell() -> None:
    def first(x: int, seed: int = 0) -> None:
        """One.

        Args:
            x: A number.
            seed: The seed (default: 0).
        """

    @arguments_of(first)
    def second(x: int, other: int, seed: int = 3) -> None:
        """Two.

        Args:
            other: Another number.

        Example:
            >>> 1
            1
        """

    text = inspect.cleandoc(second.__doc__)
    assert "Args:\n    x: A number.\n    other: Another number.\n    seed: The seed (default: 3).\n\nExample:" in text
