"""A user's own trained model: the same pruning and the same export as for networks that kgrow grew.

The model is read as data (`graph`), its channels are grouped (`groups`), a copy with masks is pruned and fine-tuned
(`masked`, `pruning`, `fine_tuning`), and what is left is built again, narrower (`narrow`).
"""

from kgrow.compressing.compress import compress
from kgrow.compressing.compressed import Compressed

__all__ = ["Compressed", "compress"]
