"""The OnlyFansAPI service (upstream spec section 1): its REST gateway and endpoints."""
