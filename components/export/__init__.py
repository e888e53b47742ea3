"""Export an accepted candidate as a SavedModel, proven equal to the model evaluated."""
