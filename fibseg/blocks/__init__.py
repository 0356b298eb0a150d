"""The engine: three verbs that give the answer of the whole volume, block by block."""

from fibseg.blocks.cluster import Cluster
from fibseg.blocks.components import label_blocks
from fibseg.blocks.functions import BlockFunction, LocalOperator
from fibseg.blocks.grid import Block, Grid
from fibseg.blocks.journal import Journal, layout_key
from fibseg.blocks.run import map_blocks, reduce_blocks
from fibseg.blocks.runners import Processes, Runner, Serial

__all__ = [
    "Block",
    "BlockFunction",
    "Cluster",
    "Grid",
    "Journal",
    "LocalOperator",
    "Processes",
    "Runner",
    "Serial",
    "label_blocks",
    "layout_key",
    "map_blocks",
    "reduce_blocks",
]
