"""Writes `docs/options.md`, the options of a search, from the fields of its configuration."""

import dataclasses
from pathlib import Path

from kgrow.config import FLAT, SECTIONS, SHORTHAND, flag_of, option_of

TARGET = Path(__file__).parents[1] / "docs" / "options.md"
HEAD = """# Options of a search

Which options does a search have? They are in five sections, and a sixth about data that are named. Set a field in
Python, in a YAML file or on the command line. The command line overrides the file, and the file overrides the defaults.
`recipes/write_options.py` writes this page.

```python
kgrow.search("digits", epochs=10, pruning="snip", training=kgrow.Training(batch_size=32))
kgrow.search("digits", config="run.yaml")  # or a `kgrow.Config`
kgrow.search("digits", config={"growth": "cascade", "export": "int8"})  # or a mapping of sections, all six of them
```

```yaml
training:
  epochs: 10
  batch_size: 32
pruning: snip
```

Every run writes `config.yaml` into its directory; `kgrow search DATA --config RUN/config.yaml` repeats the run. An
object that was passed in Python is written as the name of its class and its fields, such as
`{name: snip, reinitialize: true, seed: 0}`, and YAML may use this form too. An object without such a form is written as
a text; only Python can pass it again. `engine` and `address`, which say where the run is trained, are not in the file.
"""


def page() -> str:
    """Returns the text of the page."""
    return "\n".join([HEAD, *(_section(name) for name in SECTIONS)]).rstrip() + "\n"


def _section(name: str) -> str:
    kind = SECTIONS[name]
    title = (kind.__doc__ or "").partition(";")[0].rstrip(".")
    shorthand = f" `{name}: NAME` stands for `{name}: {{{SHORTHAND[name]}: NAME}}`." if name in SHORTHAND else ""
    flat = [f"`{field}`" for field, section in FLAT.items() if section == name]
    arguments = f" Arguments of `kgrow.search` of the same names: {', '.join(flat)}." if flat else ""
    rows = [_row(field) for field in dataclasses.fields(kind)]
    head = ["| field | option | default | what |", "|---|---|---|---|"]
    return "\n".join([f"## `{name}`", "", f"{title}.{shorthand}{arguments}", "", *head, *rows, ""])


def _row(field: dataclasses.Field) -> str:
    option = option_of(field)
    names = f": {', '.join(f'`{name}`' for name in option.own)}" if option.own else ""
    default = "" if field.default is None else f"`{str(field.default).lower()}`"
    return f"| `{field.name}` | `{flag_of(field)}` | {default} | {option.help}{names} |"


if __name__ == "__main__":
    TARGET.write_text(page(), "utf-8")
