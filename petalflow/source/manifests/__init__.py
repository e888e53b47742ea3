"""Manifests as sources: CSV and JSON Lines files that say of each image what it is."""
