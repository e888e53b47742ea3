"""The training curves: what an epoch reached, phase by phase."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from components.train.state import ACCURACY, LOSS, PHASE, RATE
from petalflow.figures import to_png

# Told apart by line and marker as well as by colour (Okabe and Ito's, which the colour-blind tell apart).
_TRAINING: Mapping[str, Any] = {"color": "#0072b2", "linestyle": "-", "marker": "o"}
_VALIDATION: Mapping[str, Any] = {"color": "#d55e00", "linestyle": "--", "marker": "s", "markerfacecolor": "none"}
# More epochs than this, and their markers would hide the lines.
_MARKED_EPOCHS = 40
_WIDTH_IN, _PANEL_IN, _THIN_PANEL_IN = 8.0, 2.8, 1.3


def draw_curves(history: Mapping[str, Sequence[Any]], best_epoch: int, accuracy: str = "accuracy") -> bytes:
    """Returns a PNG file with loss and accuracy over the epochs, and the learning rate where it varies.

    Args:
        history: Name of a figure -> its value in each epoch; None where it was no number.
        best_epoch: The best, from 1.
        accuracy: What accuracy means here.
    """
    titles = {LOSS: "loss", ACCURACY: accuracy}
    heights = [_PANEL_IN, _PANEL_IN]
    rates = history[RATE]
    if len(set(rates)) > 1:
        heights.append(_THIN_PANEL_IN)
    figure = Figure(figsize=(_WIDTH_IN, sum(heights) + 0.4), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for panel, (name, title) in zip(panels, titles.items(), strict=False):
        _draw_lines(panel, history, name, best_epoch)
        panel.set_ylabel(title)
    panels[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    if len(heights) > len(titles):
        panels[-1].plot(_epochs(rates), _numbers(rates), color="#555555", drawstyle="steps-mid")
        # A phase's may be a tenth of the last one's; it ends at 0, which this scale has not.
        panels[-1].set(ylabel="learning rate", yscale="log", ylim=(max(rates) / 2000, 2 * max(rates)))
        panels[-1].yaxis.set_major_formatter("{x:g}")
        panels[-1].yaxis.set_minor_formatter(NullFormatter())
    for panel in panels:
        _mark_phases(panel, history[PHASE], named=panel is panels[0])
        panel.grid(alpha=0.3)
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panels[-1].set_xlim(0.5, len(rates) + 0.5)
    return to_png(figure)


def _draw_lines(panel: Axes, history: Mapping[str, Sequence[Any]], name: str, best_epoch: int) -> None:
    epochs, validation = _epochs(history[name]), _numbers(history[f"val_{name}"])
    size = 4 if len(epochs) <= _MARKED_EPOCHS else 0
    panel.plot(epochs, _numbers(history[name]), **_TRAINING, markersize=size, label="training")
    panel.plot(epochs, validation, **_VALIDATION, markersize=size, label="validation")
    best = validation[best_epoch - 1]
    panel.plot([best_epoch], [best], "*", color="black", markersize=11, label=f"best epoch: {best_epoch}")
    panel.axvline(best_epoch, color="black", linewidth=0.8, linestyle=":")


def _mark_phases(panel: Axes, phases: Sequence[str], *, named: bool) -> None:
    start = 0.5
    for number, (name, epochs) in enumerate(itertools.groupby(phases)):
        end = start + len(list(epochs))
        if number % 2:
            panel.axvspan(start, end, color="#000000", alpha=0.06, linewidth=0)
        if number:
            panel.axvline(start, color="#888888", linewidth=0.8)
        if named:
            # Upright, at the bottom and at the top by turns: a phase of few epochs among many has room for its name.
            panel.annotate(
                name,
                (start, number % 2),
                xytext=(3, -3 if number % 2 else 3),
                textcoords="offset points",
                xycoords=panel.get_xaxis_transform(),
                rotation=90,
                va="top" if number % 2 else "bottom",
                fontsize=8,
                color="#555555",
            )
        start = end


def _epochs(values: Sequence[Any]) -> list[int]:
    return list(range(1, len(values) + 1))


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]
