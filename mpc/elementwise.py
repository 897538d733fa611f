"""Real functions, element by element."""

__all__: list[str] = []
