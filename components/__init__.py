"""The steps of the pipeline, one folder each. Steps never import each other."""
