"""From arrays to tables: every measure is partial, merge, finish, so that it adds over blocks."""

from fibseg.measure import regions

__all__ = ["regions"]
