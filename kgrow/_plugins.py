"""`Registry`: named objects that are imported when they are looked up. Other packages add to it by entry points."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any, final


class PluginError(ValueError):
    """An error for a plug-in that violates its contract; the message names its package and its entry point."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """Location of a named object.

    Args:
        name: Name on the command line.
        target: "module:object"; the object may be an attribute of a class.
        group: Group of the entry point; empty for kgrow's own.
        package: Distribution package of the entry point, with its version; empty for kgrow's own.
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
    """A read-only mapping from names to objects of one kind, which are imported when they are looked up.

    Args:
        what: Option or argument that takes the names.
        base: "module:class" of the objects; an argument may also be an instance of this class.
        targets: "module:object" of kgrow's own objects, by name.
        group: Group of entry points that add to them.
        made: Function that makes the value of the mapping from an entry and the registry.
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
        """The base class of the objects."""
        return Entry(self.what, self._base).load()

    @property
    def base_name(self) -> str:
        """Name of the base class, without importing it."""
        return self._base.rpartition(":")[2]

    @functools.cached_property
    def entries(self) -> dict[str, list[Entry]]:
        """All entries by name; a lookup of a name with more than one entry raises an error."""
        found = {name: [Entry(name, target)] for name, target in self._targets.items()}
        for point in metadata.entry_points(group=self.group) if self.group else ():
            package = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
            found.setdefault(point.name, []).append(Entry(point.name, point.value, self.group, package))
        return found

    @property
    def own(self) -> tuple[str, ...]:
        """The names of kgrow's own objects."""
        return tuple(self._targets)

    def of_kgrow(self, name: str) -> Any:
        """Returns kgrow's own object of a name, whatever other packages add."""
        entry = Entry(name, self._targets[name])
        return self._made(self, entry) if self._made else entry.load()

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

    def is_of(self, kind: type) -> bool:
        """Returns whether a class is one of the objects' base class, without importing that."""
        return any(f"{base.__module__}:{base.__qualname__}" == self._base for base in kind.__mro__)

    def has_made(self, thing: Any, name: str) -> bool:
        """Returns whether an object is the one that a lookup of a name returned."""
        return name in self._values and self._values[name] is thing

    def check(self, made: Any, entry: Entry) -> Any:
        """Checks an object and returns it.

        Raises:
            PluginError: If another package made it and it is not an instance of the base class.
        """
        if not isinstance(made, self.base):
            raise PluginError(f"{entry} must give a `{self.base_name}`, but gives {made!r}.")
        return made


def instance(registry: Registry, entry: Entry) -> Any:
    """Creates the object of a name, once."""
    return registry.check(_called(entry), entry)


def subclass(registry: Registry, entry: Entry) -> Any:
    """Returns the class of a name; its `kind` is set to the name."""
    found = entry.load()
    if not (inspect.isclass(found) and issubclass(found, registry.base) and getattr(found, "kind", "") == entry.name):
        raise PluginError(
            f"{entry} must give a subclass of `{registry.base_name}` of the kind {entry.name!r}, but gives {found!r}."
        )
    return found


def seeded(registry: Registry, entry: Entry) -> Callable[[int], Any]:
    """Returns a function of the run's seed that creates the object; objects that take no seed are created without."""
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
