"""Classify images with a released model."""
