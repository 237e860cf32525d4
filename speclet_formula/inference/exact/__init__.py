"""A Gaussian model goes in; draws of its posterior, or densities of rows left out, come out, effects integrated."""
