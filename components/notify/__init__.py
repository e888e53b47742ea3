"""Report how a run ended."""
