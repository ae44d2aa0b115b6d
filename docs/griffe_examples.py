"""An extension of griffe, which reads the docstrings for `mkdocs.yml`, for what Markdown does not know in them."""

from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Renders sections of one example as code, and formulas as they are written."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Changes `Example:` to Google's `Examples:` and takes the name of the role from a formula."""
        if obj.docstring is not None:
            lines = obj.docstring.value.split("\n")
            lines = ["Examples:" if line == "Example:" else line for line in lines]
            obj.docstring.value = "\n".join(lines).replace(":math:`", "`")
