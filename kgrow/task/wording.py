"""Texts for numbers, shapes and lists in messages."""

from collections.abc import Sequence

NUM_NAMED = 10


def times(shape: Sequence[int]) -> str:
    """Formats a shape.

    Args:
        shape: Sides of the shape.

    Returns:
        Text such as "28x28x1".
    """
    return "x".join(str(side) for side in shape)


def list_some(names: Sequence[str], figures: Sequence[object] | None = None) -> str:
    """Formats a list that may be long.

    Args:
        names: Names to list.
        figures: Figure of each name.

    Returns:
        The first ten, quoted, with their figures, and the number of the rest.
    """
    words = [repr(name) for name in names[:NUM_NAMED]]
    if figures is not None:
        words = [f"{word} {figure}" for word, figure in zip(words, figures, strict=False)]
    listed = ", ".join(words)
    return listed if len(names) <= NUM_NAMED else f"{listed} and {len(names) - NUM_NAMED} more"


def counted(number: int, noun: str) -> str:
    """Formats a number of things.

    Args:
        number: Number of things.
        noun: Noun in the singular.

    Returns:
        Text such as "1 class" or "2 images".
    """
    ending = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{ending}"


def printable(text: str) -> str:
    """Makes a name of foreign files safe to show in a terminal.

    Args:
        text: Name to show.

    Returns:
        The name, with a space for each control character.
    """
    return "".join(character if character.isprintable() else " " for character in text)
