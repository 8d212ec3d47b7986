"""Torg: a marketplace that starts on a laptop and grows into a fleet."""

__version__ = "0.1.0"
