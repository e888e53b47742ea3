"""What ends a phase of training before its last epoch."""

import math

from components.train.settings import TrainSettings
from components.train.state import ACCURACY, LOSS, PHASE, RATE, TrainingState

# A loss so many times the least so far, and above what guessing gives, comes from steps too wide to be made good.
_DIVERGED = 10.0


def reason_to_stop(state: TrainingState, settings: TrainSettings, phase: str, max_epochs: int, guess: float) -> str:
    """Returns why a phase ends after the epochs that are done, or "" if it goes on.

    Args:
        state: How far the training is.
        settings: Of train.
        phase: Its name.
        max_epochs: Most epochs of it.
        guess: The loss of guessing, in nats.
    """
    mine = [index for index, of in enumerate(state.history.get(PHASE, [])) if of == phase]
    if settings.time_budget_minutes is not None and state.spent_s >= settings.time_budget_minutes * 60:
        return f"the time budget of {settings.time_budget_minutes:g} minutes is spent"
    if not mine:
        return ""
    last, loss = mine[-1], state.history[LOSS][mine[-1]]
    if trouble := _trouble(state, [state.history[LOSS][index] for index in mine], guess):
        rate = state.history[RATE][last]
        return f"{trouble} at a learning rate of {rate:.2g}; train with a lower one"
    accuracy = state.history[ACCURACY][last]
    if settings.target_accuracy is not None and accuracy >= settings.target_accuracy:
        return f"training accuracy {accuracy:.4f} reached the target {settings.target_accuracy:g}"
    if settings.target_loss is not None and loss < settings.target_loss:
        return f"training loss {loss:.4f} is below the target {settings.target_loss:g}"
    since = last - max(state.best_epoch if state.best_epoch is not None else -1, mine[0] - 1)
    if since >= settings.patience_epochs:
        return f"{settings.best} has not been better for {since} epochs"
    return f"epoch {len(mine)} of {max_epochs} was the last" if len(mine) >= max_epochs else ""


def _trouble(state: TrainingState, losses: list[float], guess: float) -> str:
    last = losses[-1]
    if not math.isfinite(last) or not math.isfinite(state.history["val_loss"][-1]):
        return "the loss is no number"
    if last > _DIVERGED * min(losses) and last > 2 * guess:
        return f"the loss rose from {min(losses):.3g} to {last:.3g}"
    return ""
