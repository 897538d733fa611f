"""Regressions on secret values, with the words and results of scikit-learn."""

from mpc.linear_model.linear import LinearRegression, Ridge

__all__ = ["LinearRegression", "Ridge"]
