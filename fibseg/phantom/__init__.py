"""A synthetic FIB-SEM cell with exact truth, and the sparse painting a person would make of it."""

from fibseg.phantom.cell import Cell, make_cell
from fibseg.phantom.dabs import dabbed_annotation
from fibseg.phantom.painting import sparse_annotation

__all__ = ["Cell", "dabbed_annotation", "make_cell", "sparse_annotation"]
