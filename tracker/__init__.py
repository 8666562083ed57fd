"""Clickbind's tracker: clicks, inventory, platform events, attribution, management API."""

__version__ = "0.1.0"
