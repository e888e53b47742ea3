"""Two models on the same images: whether they differ, and by how much."""

from dataclasses import dataclass

from petalflow.verdict import tango_interval

# McNemar's p below which two models are said to differ.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Paired:
    """How two models, A and B, do on the same images.

    Attributes:
        better: Images that B alone has right.
        worse: Images that A alone has right.
        images: All of them.
    """

    better: int
    worse: int
    images: int

    @property
    def difference(self) -> float | None:
        """Share of images right of B, less that of A, -1..1; None without images."""
        return (self.better - self.worse) / self.images if self.images else None

    @property
    def interval(self) -> tuple[float, float]:
        """Tango's two-sided 95 % interval of the difference; (-1, 1) without images."""
        return tango_interval(self.better, self.worse, self.images)

    @property
    def p(self) -> float:
        """The odds of counts so unlike if both were equally good, 0..1.

        McNemar's exact test (McNemar 1947, doi:10.1007/BF02295996), two-sided.
        """
        from scipy import stats

        differing = self.better + self.worse
        return float(stats.binomtest(self.better, differing).pvalue) if differing else 1.0

    @property
    def conclusion(self) -> str:
        """What that amounts to, in words."""
        if not self.images:
            return "no image was tested by both, so nothing is said of the difference"
        if self.p >= SIGNIFICANCE:
            return "these images do not tell them apart"
        return f"{'B' if self.better > self.worse else 'A'} is the better one"
