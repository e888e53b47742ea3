"""Manifests as sources: CSV and JSON Lines files with a row for each image."""

from petalflow.source.manifests.manifest import Manifest, list_tree, recognises
from petalflow.source.manifests.rows import begins_like_rows
from petalflow.source.manifests.split_tables import SplitTables, has_split_tables

__all__ = ["Manifest", "SplitTables", "begins_like_rows", "has_split_tables", "list_tree", "recognises"]
