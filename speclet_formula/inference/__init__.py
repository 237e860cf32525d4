"""Fitting: the engines and what chooses between them. Bambi and PyMC are touched in this room alone."""
