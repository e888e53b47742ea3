"""Archives as sources: .zip, .tar and .tar.gz, read where they are."""

from petalflow.source.archives.images import ArchivedImages, recognises

__all__ = ["ArchivedImages", "recognises"]
