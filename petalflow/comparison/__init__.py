"""Two evaluations side by side: what each measured, and the images whose answer changed. No TensorFlow here."""

from petalflow.comparison.comparison import Comparison, compare
from petalflow.comparison.evaluated import Evaluated, read_evaluation
from petalflow.comparison.page import PAGE, write_page
from petalflow.comparison.paired import Paired

__all__ = ["PAGE", "Comparison", "Evaluated", "Paired", "compare", "read_evaluation", "write_page"]
