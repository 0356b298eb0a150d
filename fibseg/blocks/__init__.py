"""The engine: three verbs that give the answer of the whole volume, block by block."""

from fibseg.blocks.cluster import Cluster
from fibseg.blocks.commands import Commands, Ended, Threads, Unit
from fibseg.blocks.components import label_blocks
from fibseg.blocks.functions import BlockFunction, LocalOperator
from fibseg.blocks.grid import Block, Grid
from fibseg.blocks.journal import Journal, layout_key
from fibseg.blocks.map import map_blocks
from fibseg.blocks.reduce import appended, reduce_blocks
from fibseg.blocks.runners import Processes, Runner, Serial
from fibseg.blocks.task import IN_FLIGHT, Task
from fibseg.blocks.threads import thread_variables, usable_cores, worker_number

__all__ = [
    "IN_FLIGHT",
    "Block",
    "BlockFunction",
    "Cluster",
    "Commands",
    "Ended",
    "Grid",
    "Journal",
    "LocalOperator",
    "Processes",
    "Runner",
    "Serial",
    "Task",
    "Threads",
    "Unit",
    "appended",
    "label_blocks",
    "layout_key",
    "map_blocks",
    "reduce_blocks",
    "thread_variables",
    "usable_cores",
    "worker_number",
]
