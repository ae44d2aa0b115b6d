"""Loading of any data set of labeled images as a `Task`. Importing it loads no TensorFlow."""

from kgrow.registry import AUGMENTATIONS
from kgrow.task.augmentation import Augmentation
from kgrow.task.split import Split
from kgrow.task.task import Task

__all__ = ["AUGMENTATIONS", "Augmentation", "Split", "Task"]
