"""The country of a visit: a trusted proxy's header, the operator's own database, the built-in registry table; first wins."""

from __future__ import annotations

from typing import Any

import iptocc
import maxminddb
import structlog

log = structlog.get_logger()

# ISO 3166-1 alpha-2, and XK (Kosovo), which every geo database uses. XX, T1, A1, EU… are answers for "unknown".
_CODES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ"
    " CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO"
    " FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE"
    " JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO"
    " MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW"
    " PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM"
    " TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW"
)
COUNTRIES = frozenset(_CODES.split())


class Geo:
    """Looks countries up. `mmdb_path` is a MaxMind-format file, nested as MaxMind's or flat as others'; '' for none."""

    def __init__(self, mmdb_path: str = "") -> None:
        self._database = maxminddb.open_database(mmdb_path) if mmdb_path else None

    def country(self, ip: str, cdn_country: str = "") -> str:
        """ISO 3166-1 alpha-2 in upper case, '' when not known. `ip` must be a valid address or ''."""
        claimed = cdn_country.upper()
        if claimed in COUNTRIES:
            return claimed
        if not ip:
            return ""
        if self._database is not None:
            found = self._look_up(ip)
            if found in COUNTRIES:
                return found
        code = iptocc.country_code(ip)
        return code if code in COUNTRIES else ""

    def close(self) -> None:
        """Close the operator's database."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _look_up(self, ip: str) -> str:
        assert self._database is not None
        try:
            return country_of(self._database.get(ip))
        except (ValueError, maxminddb.InvalidDatabaseError) as error:  # a v6 address in a v4 file is a ValueError
            log.debug("geo.lookup_failed", error=str(error))
            return ""


def country_of(record: Any) -> str:
    """The country code in an MMDB record: `{country_code}` (flat) or `{country: {iso_code}}` (MaxMind), else ''."""
    if not isinstance(record, dict):
        return ""
    for value in (record.get("country_code"), record.get("country"), record.get("registered_country")):
        if isinstance(value, dict):
            value = value.get("iso_code")
        if isinstance(value, str) and len(value) == 2:
            return value.upper()
    return ""
