"""An extension of griffe, which reads the docstrings for `mkdocs.yml`: kgrow's `Example:` is Google's `Examples:`."""

from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Lets sections of one example be rendered as code."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Renames the section of an object as soon as it is read."""
        if obj.docstring is not None:
            lines = obj.docstring.value.split("\n")
            obj.docstring.value = "\n".join("Examples:" if line == "Example:" else line for line in lines)
