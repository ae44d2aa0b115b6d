"""Which candidates are tried, within which limits."""

from kgrow.registry import SPACES
from kgrow.searching.cells import Cells
from kgrow.searching.space import Candidate, SearchSpace

__all__ = ["SPACES", "Candidate", "Cells", "SearchSpace"]
