"""Two evaluations side by side: the metrics of each, and the images whose prediction changed. No TensorFlow here."""

from pipeline.comparison.comparison import Comparison, Paired, compare
from pipeline.comparison.evaluation import Evaluated, EvaluationAddress, find_evaluation, read_evaluation
from pipeline.comparison.page import PAGE, write_page

__all__ = [
    "PAGE",
    "Comparison",
    "Evaluated",
    "EvaluationAddress",
    "Paired",
    "compare",
    "find_evaluation",
    "read_evaluation",
    "write_page",
]
