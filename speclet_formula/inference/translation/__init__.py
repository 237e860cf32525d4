"""Models to Bambi and PyMC, and Bambi's models back. Bambi is touched in this room alone."""
