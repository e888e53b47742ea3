"""Export an accepted candidate as a SavedModel that is proven to equal the evaluated model."""
