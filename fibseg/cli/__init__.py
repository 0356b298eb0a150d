"""The command line: the only room that knows Hydra."""

from fibseg.cli.main import main

__all__ = ["main"]
