"""How the steps are chained and run."""
