"""What a script says, the plan it becomes, what that costs, and the engine that runs it."""
