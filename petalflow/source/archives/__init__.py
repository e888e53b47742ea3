"""Archives as sources: .zip, .tar and .tar.gz, read where they lie."""
