"""How numbers, shapes and lists are worded in messages."""

from collections.abc import Sequence

NUM_NAMED = 10


def times(shape: Sequence[int]) -> str:
    """Words a shape.

    Args:
        shape: Sides.

    Returns:
        Such as "28x28x1".
    """
    return "x".join(str(side) for side in shape)


def list_some(names: Sequence[str], figures: Sequence[object] | None = None) -> str:
    """Words a list that may be long.

    Args:
        names: What to list.
        figures: What to say of each.

    Returns:
        The first ten, quoted, with their figures, and the number of the rest.
    """
    words = [repr(name) for name in names[:NUM_NAMED]]
    if figures is not None:
        words = [f"{word} {figure}" for word, figure in zip(words, figures, strict=False)]
    listed = ", ".join(words)
    return listed if len(names) <= NUM_NAMED else f"{listed} and {len(names) - NUM_NAMED} more"


def counted(number: int, noun: str) -> str:
    """Words a number of things.

    Args:
        number: How many.
        noun: What, in the singular.

    Returns:
        Such as "1 class" or "2 images".
    """
    ending = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{ending}"


def printable(text: str) -> str:
    """Makes a name of foreign files safe to show in a terminal.

    Args:
        text: Name.

    Returns:
        The name, with a space for each character that controls instead of being seen.
    """
    return "".join(character if character.isprintable() else " " for character in text)
