"""Words -> planner -> report. No arithmetic here."""
