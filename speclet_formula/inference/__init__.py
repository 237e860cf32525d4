"""A Model goes in, draws from its posterior come out; Bambi and PyMC are touched in this room alone."""
