"""What Python users and the commands call."""
