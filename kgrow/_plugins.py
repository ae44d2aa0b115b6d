"""`Registry`: things by names that are imported when they are looked up, open to other packages by entry points."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any, final


class PluginError(ValueError):
    """A plug-in that does not keep its contract; the message names its package and its entry point."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a named thing is found.

    Args:
        name: On the command line.
        target: "module:object"; the object may be an attribute of a class.
        group: Group of the entry point; empty for kgrow's own.
        package: Distribution package that has the entry point, with its version; empty for kgrow's own.
    """

    name: str
    target: str
    group: str = ""
    package: str = ""

    def __str__(self) -> str:
        if not self.package:
            return f"kgrow's own {self.target}"
        return f"the entry point `{self.group}: {self.name} = {self.target}` of the package '{self.package}'"

    def load(self) -> Any:
        """Imports the module and returns the object.

        Raises:
            PluginError: If that fails for the entry point of another package.
        """
        module, _, path = self.target.partition(":")
        try:
            return functools.reduce(getattr, path.split("."), importlib.import_module(module))
        except Exception as error:
            if not self.package:
                raise
            raise PluginError(f"{self} must be importable, but raised {type(error).__name__}: {error}") from error


@final
class Registry(Mapping[str, Any]):
    """Things of one kind by their names, which are imported when they are looked up: a read-only mapping.

    Args:
        what: The option or argument that takes the names.
        base: "module:class" that the things are instances of; it is what an argument may be besides a name.
        targets: "module:object" of kgrow's own things by name.
        group: Group of entry points that adds to them.
        made: Gives the value of the mapping from an entry and the registry.
    """

    def __init__(
        self,
        what: str,
        base: str,
        targets: Mapping[str, str],
        *,
        group: str = "",
        made: Callable[[Registry, Entry], Any] | None = None,
    ) -> None:
        self.what, self.group = what, group
        self._base, self._targets, self._made = base, targets, made
        self._values: dict[str, Any] = {}

    @property
    def base(self) -> Any:
        """The class that the things are instances of."""
        return Entry(self.what, self._base).load()

    @property
    def base_name(self) -> str:
        """Its name, without importing it."""
        return self._base.rpartition(":")[2]

    @functools.cached_property
    def entries(self) -> dict[str, list[Entry]]:
        """Every claim to a name; more than one is an error of whoever looks it up."""
        found = {name: [Entry(name, target)] for name, target in self._targets.items()}
        for point in metadata.entry_points(group=self.group) if self.group else ():
            package = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
            found.setdefault(point.name, []).append(Entry(point.name, point.value, self.group, package))
        return found

    @property
    def own(self) -> tuple[str, ...]:
        """The names of kgrow's own things."""
        return tuple(self._targets)

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            first, *others = self.entries[name]
            if others:
                raise PluginError(
                    f"`{self.what}` {name!r} must be one thing, but both {first} and {others[-1]} have that name. "
                    "Uninstall the package, or ask its authors for another name."
                )
            self._values[name] = self._made(self, first) if self._made else first.load()
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def check(self, made: Any, entry: Entry) -> Any:
        """Returns a thing that was made.

        Raises:
            PluginError: If another package made it, and it is no instance of the base class.
        """
        if not isinstance(made, self.base):
            raise PluginError(f"{entry} must give a `{self.base_name}`, but gives {made!r}.")
        return made


def instance(registry: Registry, entry: Entry) -> Any:
    """Makes the thing that a name stands for, once."""
    return registry.check(_called(entry), entry)


def subclass(registry: Registry, entry: Entry) -> Any:
    """Returns the class that a name stands for, which has the name as its `kind`."""
    found = entry.load()
    if not (inspect.isclass(found) and issubclass(found, registry.base) and getattr(found, "kind", "") == entry.name):
        raise PluginError(
            f"{entry} must give a subclass of `{registry.base_name}` of the kind {entry.name!r}, but gives {found!r}."
        )
    return found


def seeded(registry: Registry, entry: Entry) -> Callable[[int], Any]:
    """Returns a function of the run's seed that makes the thing; what takes no seed is made without."""
    return lambda seed: registry.check(_called(entry, seed), entry)


def _called(entry: Entry, seed: int | None = None) -> Any:
    make = entry.load()
    try:
        takes_seed = seed is not None and "seed" in inspect.signature(make).parameters
        return make(seed=seed) if takes_seed else make()
    except Exception as error:
        if not entry.package:
            raise
        raise PluginError(f"{entry} must be made without arguments, but raised {error!r}.") from error
