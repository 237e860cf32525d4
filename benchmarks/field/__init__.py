"""Documented mixed models of others, from a public registry: fitted in R and by this package, and compared."""
