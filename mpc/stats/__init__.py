"""Statistics of secret values, with the names and results of numpy and scipy.stats."""

from mpc.stats.moments import Description, corr, cov, describe, std, var

__all__ = ["Description", "corr", "cov", "describe", "std", "var"]
