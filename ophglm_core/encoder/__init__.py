"""The image encoder: its torch module (network) and its local runtime (onnx_runtime)."""
