"""Models that a shop brings as an ONNX file: checked, described and measured, without a suite."""
