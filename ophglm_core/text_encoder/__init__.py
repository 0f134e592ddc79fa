"""The text encoder: a BERT that reads the question for the fusion module."""
