"""The exact engine: draws of a Gaussian model's posterior, and densities of rows left out, all effects integrated out."""
