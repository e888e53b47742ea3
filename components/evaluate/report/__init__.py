"""The report: one HTML file that shows what the model knows, and where it is wrong."""

from components.evaluate.report.page import write_report

__all__ = ["write_report"]
