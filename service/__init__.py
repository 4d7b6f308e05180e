"""The REST service: HTTP, queue, workers. Knows model_store, never torch."""
