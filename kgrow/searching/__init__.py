"""Which candidates are tried, within which limits."""

from kgrow.searching.cascade import Cascade
from kgrow.searching.cells import Cells
from kgrow.searching.compact import Compact
from kgrow.searching.large import Large
from kgrow.searching.seed import Seed
from kgrow.searching.space import Candidate, SearchSpace

SPACES: dict[str, SearchSpace] = {
    "compact": Compact(),
    "cascade": Cascade(),
    "large": Large(),
    "cells": Cells(),
    "seed": Seed(),
    "seed_dense": Seed(("concat",)),
    "seed_plain": Seed(("none",)),
}

__all__ = ["SPACES", "Candidate", "Cells", "SearchSpace"]
