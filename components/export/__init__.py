"""Export an accepted candidate as a SavedModel that is verified to give the scores of the evaluated model."""
