"""The report of an evaluation: one HTML file with the verdict, the metrics, and the mistakes of the model."""

from components.evaluate.report.page import without_neighbours, write_report

__all__ = ["without_neighbours", "write_report"]
