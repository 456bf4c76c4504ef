"""Training: batches to losses to weights, on one device or several processes, resumable at any step."""
