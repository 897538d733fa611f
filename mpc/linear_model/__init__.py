"""Regressions on secret values, with the words and results of scikit-learn."""

from mpc.linear_model.linear import LinearRegression, Ridge
from mpc.linear_model.logistic import LogisticRegression

__all__ = ["LinearRegression", "LogisticRegression", "Ridge"]
