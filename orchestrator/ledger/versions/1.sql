-- What happened to each task of one run folder. Money stands in whole trillionths of a dollar, times in unix seconds.

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE tasks (
    id          TEXT NOT NULL UNIQUE,
    place       INTEGER,            -- the place in the grid; NULL once the job file no longer holds the task
    rank        INTEGER,            -- the place in the order of submission; NULL likewise
    edition     INTEGER NOT NULL,   -- the edition of the job file that last held it
    state       TEXT NOT NULL,
    spec        TEXT NOT NULL,      -- JSON: what the job file says of it
    tries       INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0,
    error       TEXT,               -- JSON: kind and message
    warnings    TEXT,               -- JSON: a list of sentences
    finished_at REAL
);
CREATE INDEX tasks_by_state ON tasks (state, rank);
CREATE INDEX tasks_by_place ON tasks (place, id);

CREATE TABLE attempts (
    task         TEXT NOT NULL,
    number       INTEGER NOT NULL,
    intent_at    REAL NOT NULL,
    reserved     INTEGER NOT NULL,
    newest_known TEXT,              -- a number that may be longer than an INTEGER
    gave_up_at   REAL,
    remote_id    TEXT UNIQUE,       -- no remote task can belong to two of ours
    token        TEXT,
    submitted_at REAL,
    ended_at     REAL,
    status       TEXT,
    exit_code    INTEGER,
    elapsed      REAL,
    cost         INTEGER,           -- NULL while the service has not said
    PRIMARY KEY (task, number)
) WITHOUT ROWID;

CREATE TABLE outputs (
    task         TEXT NOT NULL,
    number       INTEGER NOT NULL,
    path         TEXT NOT NULL,
    url          TEXT,
    content_type TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    sha256       TEXT NOT NULL,
    PRIMARY KEY (task, number)
) WITHOUT ROWID;
