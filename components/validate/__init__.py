"""Check a dataset against limits before anything is trained on it."""
