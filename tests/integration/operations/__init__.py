"""Health, metrics, logs and what is deployed around the roles."""
