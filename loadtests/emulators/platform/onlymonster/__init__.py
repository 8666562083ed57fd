"""Onlymonster: read-only links, the feed of link users, transactions, chats, webhooks (upstream spec 3)."""
