"""Training: one loop, and a module for each stage that it runs."""
