"""Fansly through OnlyFansAPI: links with counters only, payments, subscribers, webhooks (upstream spec 5)."""
