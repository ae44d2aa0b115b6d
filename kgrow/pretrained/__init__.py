"""Published networks and their weights, as blocks from which a network can grow."""

from kgrow.pretrained.backbone import Backbone, Convolution, Unit

__all__ = ["Backbone", "Convolution", "Unit"]
