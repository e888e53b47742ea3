"""Manifests as sources: CSV and JSON Lines files with a row for each image."""

from petalflow.source.manifests.manifest import Manifest, list_tree, recognises
from petalflow.source.manifests.rows import begins_like_rows

__all__ = ["Manifest", "begins_like_rows", "list_tree", "recognises"]
