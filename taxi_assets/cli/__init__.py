"""What the commands of `taxi` do, a module each."""
