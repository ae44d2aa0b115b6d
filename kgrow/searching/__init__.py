"""The choice of candidates, and the limits they must satisfy."""

from kgrow.registry import SPACES
from kgrow.searching.cells import Cells
from kgrow.searching.pretrained import Pretrained
from kgrow.searching.space import Candidate, SearchSpace

__all__ = ["SPACES", "Candidate", "Cells", "Pretrained", "SearchSpace"]
