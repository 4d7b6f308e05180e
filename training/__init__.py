"""Makes, evaluates and exports models. Knows model_store, never the service."""
