"""A Gaussian model goes in; what lme4 would estimate of it, by REML or maximum likelihood, comes out."""
