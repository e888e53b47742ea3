"""Publish an export as the next version in the registry."""
