"""Archives as sources: .zip, .tar and .tar.gz, read without being unpacked to files."""

from petalflow.source.archives.images import ArchivedImages, recognises

__all__ = ["ArchivedImages", "recognises"]
