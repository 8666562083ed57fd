"""What a store that cannot be used raises."""


class StoreError(Exception):
    """A store cannot be used as configured. The message says what to do."""
