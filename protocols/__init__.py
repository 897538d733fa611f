"""The mathematics: one party's side of each protocol. Knows no plan, no socket, no file."""
