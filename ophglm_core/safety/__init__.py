"""What must be said at once (red flags), and what a language model may not say (guard)."""
