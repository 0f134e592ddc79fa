"""The language model: where it is found (source) and its local runtime (llama_runtime)."""
