"""Manifests as sources: CSV and JSON Lines files with a row for each image."""

from petalflow.source.manifests.manifest import Manifest, find_files, is_table, list_tree, recognises
from petalflow.source.manifests.named_files import FilesBeside
from petalflow.source.manifests.rows import read_rows
from petalflow.source.manifests.split_tables import SplitTables, has_split_tables, list_split_tables

__all__ = [
    "FilesBeside",
    "Manifest",
    "SplitTables",
    "find_files",
    "has_split_tables",
    "is_table",
    "list_split_tables",
    "list_tree",
    "read_rows",
    "recognises",
]
