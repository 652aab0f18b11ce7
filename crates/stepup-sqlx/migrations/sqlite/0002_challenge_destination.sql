-- Codes that sign somebody in are found by where they were sent: they end together, and are listed for the application.
CREATE INDEX stepup_challenge_destination ON stepup_challenge (tenant, destination);

INSERT INTO stepup_schema (version) VALUES (2);
