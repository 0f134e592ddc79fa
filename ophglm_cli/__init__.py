"""The ophglm command line: what a person types and sees."""
