"""Runs: the record, the lock, the execution of steps, the history of a name, and rolling back."""
