"""A fit goes into one file and comes out of it: a zip of JSON and plain arrays, which runs no code when it is read.

`archive` reads and writes the file, `packing` turns tables, draws and priors into JSON and arrays. What a fit is, is
left to `posterior`.
"""

from speclet_formula.storage.archive import load, save

__all__ = ["load", "save"]
