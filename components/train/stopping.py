"""What ends a phase of training before its last epoch."""

import math

from components.train.settings import TrainSettings
from components.train.state import ACCURACY, LOSS, PHASE, VALIDATION_LOSS, TrainingState

# A loss so many times the least so far, and above what guessing gives, comes from steps too wide to be made good.
_DIVERGED = 10.0


def reason_to_stop(
    state: TrainingState, settings: TrainSettings, phase: str, max_epochs: int, guess: float, rate: float
) -> str:
    """Returns why a phase ends after the epochs that are done, or "" if it goes on.

    Args:
        state: How far the training is.
        settings: Of train.
        phase: Its name.
        max_epochs: Most epochs of it.
        guess: The loss of guessing, in nats.
        rate: Its highest learning rate.
    """
    if why := budget_spent(state, settings):
        return why
    mine = [index for index, of in enumerate(state.history.get(PHASE, [])) if of == phase]
    if not mine:
        return ""
    last = mine[-1]
    if trouble := _trouble([state.history[LOSS][index] for index in mine], state.history[VALIDATION_LOSS][last], guess):
        setting = "train.fine_tune.learning_rate" if state.phase else "train.learning_rate"
        return f"{trouble} with a learning rate of {rate:.3g}; train with a lower {setting}"
    accuracy, loss = state.history[ACCURACY][last], state.history[LOSS][last]
    if settings.target_accuracy is not None and accuracy >= settings.target_accuracy:
        return f"training accuracy {accuracy:.4f} reached the target {settings.target_accuracy:g}"
    if settings.target_loss is not None and loss < settings.target_loss:
        return f"training loss {loss:.4f} is below the target {settings.target_loss:g}"
    # Of a best epoch of an earlier phase this one is given its own time to be better.
    since = last - max(state.best_epoch if state.best_epoch is not None else -1, mine[0] - 1)
    if since >= settings.patience_epochs:
        return f"{settings.best} has not been better for {since} epochs"
    return f"epoch {len(mine)} of {max_epochs} was the last" if len(mine) >= max_epochs else ""


def budget_spent(state: TrainingState, settings: TrainSettings) -> str:
    """Returns why no phase goes on, if the time budget is spent, or "": there is one epoch at least."""
    budget = settings.time_budget_minutes
    if budget is None or state.spent_s < budget * 60 or not state.epochs:
        return ""
    return f"the time budget of {budget:g} minutes is spent"


def _trouble(losses: list[float], validation_loss: float, guess: float) -> str:
    last = losses[-1]
    if not math.isfinite(last) or not math.isfinite(validation_loss):
        return "the loss is no number"
    if last > _DIVERGED * min(losses) and last > 2 * guess:
        return f"the loss rose from {min(losses):.3g} to {last:.3g}"
    return ""
