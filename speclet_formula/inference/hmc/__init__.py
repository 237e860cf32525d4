"""Posteriors of any family: Hamiltonian Monte Carlo around the Gaussian that lies closest to the posterior."""
