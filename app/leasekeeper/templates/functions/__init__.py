"""The functions that templates can call; every other module of this package has some of them."""

from leasekeeper.templates.functions.library import library as functions

__all__ = ["functions"]
