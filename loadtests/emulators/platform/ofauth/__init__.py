"""OFAuth: a proxy of OnlyFans with connections, promotions, subscribers, earnings, chats (upstream spec 2)."""
