"""Built-in executors: local processes and a Ray cluster."""
