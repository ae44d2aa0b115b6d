"""The configuration of a search: sections of fields with help texts. It does not load TensorFlow."""

from kgrow.config.config import FLAT, SECTIONS, SHORTHAND, Config, flat_rules, sectioned
from kgrow.config.option import Option, flag_of, option_of
from kgrow.config.sections import Data, Export, Growth, Pruning, Training, Tuning

__all__ = [
    "FLAT",
    "SECTIONS",
    "SHORTHAND",
    "Config",
    "Data",
    "Export",
    "Growth",
    "Option",
    "Pruning",
    "Training",
    "Tuning",
    "flag_of",
    "flat_rules",
    "option_of",
    "sectioned",
]
