"""REML and maximum likelihood of Gaussian models, as lme4 makes them."""
