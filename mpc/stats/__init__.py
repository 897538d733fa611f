"""Statistics of secret values, with the names and results of numpy and scipy.stats."""

from mpc.stats.hypotheses import ChiSquare, TTest, chi2_contingency, ttest_1samp, ttest_ind
from mpc.stats.moments import Description, corr, cov, describe, std, var
from mpc.stats.survival import LogRank, Survival, kaplan_meier, logrank

__all__ = [
    "ChiSquare",
    "Description",
    "LogRank",
    "Survival",
    "TTest",
    "chi2_contingency",
    "corr",
    "cov",
    "describe",
    "kaplan_meier",
    "logrank",
    "std",
    "ttest_1samp",
    "ttest_ind",
    "var",
]
