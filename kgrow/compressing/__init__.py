"""Compression of a user's own trained model, with the same pruning and export as for kgrow's networks.

The model is read as data (`graph`) and its channels are grouped (`groups`). A copy with masks is pruned and fine-tuned
(`masked`, `pruning`, `fine_tuning`), and the remaining network is rebuilt, narrower (`narrow`).
"""

from kgrow.compressing.compress import compress
from kgrow.compressing.compressed import Compressed

__all__ = ["Compressed", "compress"]
