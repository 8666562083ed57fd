-- The live view reads what was credited since a moment: by when it was written, not by when it happened.
CREATE INDEX conversions_by_team ON conversions (team_id, created_at);
