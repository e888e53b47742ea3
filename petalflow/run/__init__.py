"""A run as its steps see it: the record, the lock, which steps ran, the history of a name, and rolling back."""
