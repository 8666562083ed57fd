"""The product on a Valkey Cluster: three masters and their replicas from the wheel, several of each role, one PostgreSQL."""
