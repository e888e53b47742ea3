"""The places to run: the same verbs on each (`pipeline.target`)."""
