"""List the source and compute its fingerprint."""
