-- The tables of stepup. Every key but a session's handle, a notice's id and what belongs to the whole site begins
-- with the tenant. Times are milliseconds since 1970 in UTC. Text compares in binary, SQLite's default.

CREATE TABLE stepup_user (
    tenant     TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('live', 'disabled', 'deleted')),
    epoch      INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    methods    TEXT    NOT NULL,
    summary    TEXT    NOT NULL,
    metadata   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE TABLE stepup_identifier (
    tenant  TEXT NOT NULL,
    kind    TEXT NOT NULL,
    value   TEXT NOT NULL,
    user_id TEXT NOT NULL,
    method  TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, value),
    FOREIGN KEY (tenant, user_id) REFERENCES stepup_user (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX stepup_identifier_user ON stepup_identifier (tenant, user_id);

CREATE TABLE stepup_credential (
    tenant     TEXT    NOT NULL,
    user_id    TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    public     TEXT    NOT NULL,
    sealed     BLOB,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, user_id, kind, id),
    UNIQUE (tenant, kind, id),
    FOREIGN KEY (tenant, user_id) REFERENCES stepup_user (tenant, id)
) STRICT;

CREATE TABLE stepup_session (
    handle          TEXT    NOT NULL PRIMARY KEY,
    tenant          TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    method          TEXT    NOT NULL,
    epoch           INTEGER NOT NULL,
    factors         TEXT    NOT NULL,
    payload         TEXT    NOT NULL,
    class           TEXT    NOT NULL CHECK (class IN ('half', 'full')),
    created_at      INTEGER NOT NULL,
    idle_expires_at INTEGER NOT NULL,
    ends_at         INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    current         BLOB    NOT NULL CHECK (length(current) = 32),
    previous        BLOB             CHECK (length(previous) = 32),
    rotated_at      INTEGER,
    rotated_salt    BLOB             CHECK (length(rotated_salt) = 16),
    rotated_key     TEXT,
    rotated_network TEXT,
    rotated_agent   TEXT,
    rise_generation INTEGER,
    rise_at         INTEGER,
    tally_since     INTEGER NOT NULL,
    tally           INTEGER NOT NULL,
    network         TEXT    NOT NULL,
    agent           TEXT    NOT NULL,
    FOREIGN KEY (tenant, user_id) REFERENCES stepup_user (tenant, id)
) STRICT;

CREATE INDEX stepup_session_user ON stepup_session (tenant, user_id);
CREATE INDEX stepup_session_end ON stepup_session (min(idle_expires_at, ends_at));

-- A challenge has no foreign key: it outlives nothing of worth, and what a right answer is good for is judged anew.
CREATE TABLE stepup_challenge (
    tenant       TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    purpose      TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    session      TEXT    NOT NULL,
    destination  TEXT    NOT NULL,
    failed       INTEGER NOT NULL,
    max_failures INTEGER NOT NULL,
    mac1         BLOB             CHECK (length(mac1) = 32),
    expires1     INTEGER,
    mac2         BLOB             CHECK (length(mac2) = 32),
    expires2     INTEGER,
    mac3         BLOB             CHECK (length(mac3) = 32),
    expires3     INTEGER,
    sends        INTEGER NOT NULL,
    next_send_at INTEGER NOT NULL,
    closed       INTEGER NOT NULL CHECK (closed IN (0, 1)),
    created_at   INTEGER NOT NULL,
    ends_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, session, purpose)
) STRICT;

CREATE INDEX stepup_challenge_user ON stepup_challenge (tenant, user_id);
CREATE INDEX stepup_challenge_end ON stepup_challenge (ends_at);

CREATE TABLE stepup_counter (
    name         TEXT    NOT NULL PRIMARY KEY,
    since        INTEGER NOT NULL,
    tally        INTEGER NOT NULL,
    closed_until INTEGER NOT NULL,
    over_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX stepup_counter_end ON stepup_counter (over_at);

CREATE TABLE stepup_notice (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    user_id    TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    tries      INTEGER NOT NULL
) STRICT;

CREATE INDEX stepup_notice_due ON stepup_notice (due_at, id);
CREATE INDEX stepup_notice_user ON stepup_notice (tenant, user_id);

CREATE TABLE stepup_signing_key (
    id             TEXT    NOT NULL PRIMARY KEY,
    algorithm      TEXT    NOT NULL,
    sealed         BLOB    NOT NULL,
    created_at     INTEGER NOT NULL,
    signs_until    INTEGER NOT NULL,
    verifies_until INTEGER NOT NULL,
    slot           INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TABLE stepup_secret_check (
    id    TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL CHECK (length(value) = 32)
) STRICT;

-- What `check_schema` reads, however the files were applied. Written last: half a migration has no version.
CREATE TABLE stepup_schema (
    version INTEGER NOT NULL
) STRICT;

INSERT INTO stepup_schema (version) VALUES (1);
