"""Built-in trackers: TensorBoard and MLflow."""
