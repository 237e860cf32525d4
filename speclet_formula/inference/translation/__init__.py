"""A Model goes in; the bambi.Model and the PyMC model that it means come out. Bambi is touched in this room alone."""
