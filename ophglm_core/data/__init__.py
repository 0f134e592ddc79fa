"""Labelled photographs and texts: read, checked, split, and made into training sets."""
