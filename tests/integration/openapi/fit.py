"""Whether a value fits a schema of the documentation, with its references."""

from __future__ import annotations

from typing import Any

import jsonschema_rs


def misfit(schema: dict[str, Any], components: dict[str, Any], value: Any) -> str:
    """What is wrong with the value; '' when nothing is."""
    validator = jsonschema_rs.Draft202012Validator({**schema, "components": components}, validate_formats=True)
    return "; ".join(f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(value))
