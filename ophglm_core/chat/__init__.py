"""A conversation about photographs: question, answer, and the language model's part."""
