"""Metrics of a model's predictions, with intervals and bounds. Import the modules: only some need scikit-learn."""
