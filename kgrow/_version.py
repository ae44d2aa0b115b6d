"""The version of kgrow."""

__version__ = "0.2.0"
