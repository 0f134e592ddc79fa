"""The local runtime: ONNX Runtime and llama.cpp, never torch (a lint rule holds that)."""
