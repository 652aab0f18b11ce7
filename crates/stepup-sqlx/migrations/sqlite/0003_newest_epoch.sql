-- Each sign-in by an application's own first factor asks for the highest epoch, and each change of a user goes above it.
CREATE INDEX stepup_user_epoch ON stepup_user (epoch);

INSERT INTO stepup_schema (version) VALUES (3);
