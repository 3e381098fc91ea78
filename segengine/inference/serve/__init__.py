"""HTTP server for a trained model: requests, batches, answers and the page at `/`."""
