"""List the source and take its fingerprint."""
