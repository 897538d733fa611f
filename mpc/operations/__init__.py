"""The closed registry of operations."""
