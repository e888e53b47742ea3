"""The places where the pipeline runs."""
