"""What each role says about itself: Prometheus metrics, liveness and readiness. The edge's own are in `tracker/edge/metrics.py`."""
