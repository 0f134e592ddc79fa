"""Readers of labelled photographs and texts, and their splits."""
