"""Two evaluations side by side: what each measured, and the images whose answer changed. No TensorFlow here."""

from pipeline.comparison.comparison import Comparison, compare
from pipeline.comparison.evaluated import Evaluated, read_evaluation
from pipeline.comparison.page import PAGE, write_page
from pipeline.comparison.paired import Paired

__all__ = ["PAGE", "Comparison", "Evaluated", "Paired", "compare", "read_evaluation", "write_page"]
