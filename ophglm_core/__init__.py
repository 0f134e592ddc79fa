"""The ophglm library: everything but the terminal. It never prints and never reads argv."""

__version__ = "0.1.0"
