"""The variables a template may use (spec section 6): name, what it holds, and a sample value for previews and tests.

An event's facts are a mapping of such names to text; a missing name is the same as an empty value. Facts may carry
further names that destinations of other kinds read (match keys, for example); templates cannot use those.
"""

from __future__ import annotations

import msgspec


class Variable(msgspec.Struct, frozen=True):
    """One template variable: `{name}`."""

    name: str
    doc: str
    sample: str


_ALL = (
    Variable("ofapi_account_id", "The provider's id of the creator's account.", "acct_7d41c0a9f1e84a0c"),
    Variable("creator_onlyfans_id", "The creator's numeric id on the platform.", "284716093"),
    Variable("creator_onlyfans_username", "The creator's user name.", "sample.creator"),
    Variable("creator_onlyfans_name", "The creator's display name.", "Sample Creator ☀"),
    Variable("smart_link_id", "The smart link that was clicked (ULID).", "01JD8Z5T9Q4M6X2B7V3K1C0RWA"),
    Variable("smart_link_name", "The smart link's name.", "Summer campaign / DE"),
    Variable("conversion_type", "new_subscriber, new_transaction, message_received, ...", "new_transaction"),
    Variable(
        "conversion_id", "Unique per conversion and the same on every retry: deduplicate on it.", "cnv_sample_0001"
    ),
    Variable("click_id", "Our id of the credited click (ULID, lower case).", "01jd8z6h3n5p7r9t1v2x4y6z8b"),
    Variable("external_click_id", "Your click id, as given in `ecid`.", "clk-12345"),
    Variable("conversion_at", "When it happened: RFC 3339, UTC.", "2026-01-31T13:37:00Z"),
    Variable("amount_gross", "What the fan paid, in USD with two decimals.", "10.00"),
    Variable("amount_net", "What is left of it after the platform's fee, in USD with two decimals.", "8.00"),
    Variable("fan_onlyfans_id", "The fan's numeric id on the platform.", "590031447"),
    Variable("fan_onlyfans_username", "The fan's user name.", "u590031447"),
    Variable("fan_onlyfans_name", "The fan's display name.", "Max & Moritz"),
    Variable("transaction_type", "new_subscription, recurring_subscription, tip, post, message, stream, other.", "tip"),
    Variable("transaction_description", "The platform's words for the transaction.", "Tip from Max & Moritz"),
    Variable("transaction_status", "loading, done, pending_return or undo.", "done"),
    Variable("fbclid", "Meta's click id.", "IwAR0samplefbclid"),
    Variable("gclid", "Google's click id.", "Cj0KCQsamplegclid"),
    Variable("gbraid", "Google's app click id (iOS).", "0AAAAsamplegbraid"),
    Variable("wbraid", "Google's web-to-app click id (iOS).", "CjsKsamplewbraid"),
    Variable("ttclid", "TikTok's click id.", "E.C.P.samplettclid"),
    Variable("sccid", "Snapchat's click id (`ScCid`).", "sample-sccid"),
    Variable("utm_source", "utm_source of the click.", "newsletter"),
    Variable("utm_medium", "utm_medium of the click.", "cpc"),
    Variable("utm_campaign", "utm_campaign of the click.", "summer sale"),
    Variable("utm_term", "utm_term of the click.", "sample+term"),
    Variable("utm_content", "utm_content of the click.", "banner_a"),
    Variable("aff_s1", "aff_s1 of the click.", "s1"),
    Variable("aff_s2", "aff_s2 of the click.", "s2"),
    Variable("aff_s3", "aff_s3 of the click.", "s3"),
    Variable("aff_s4", "aff_s4 of the click.", "s4"),
    Variable("aff_s5", "aff_s5 of the click.", "s5"),
    Variable("country", "The click's country: two letters, ISO 3166.", "DE"),
)

VARIABLES: dict[str, Variable] = {variable.name: variable for variable in _ALL}
SAMPLE: dict[str, str] = {variable.name: variable.sample for variable in _ALL}
