-- A database as version 1 of the tables made it, with a record in each. It never changes: what is released must be
-- read for ever. A table that grows gets a new version, a step in server/store/sqlite_schema.c, and a file beside this.
PRAGMA application_id = 0x54524942;
PRAGMA user_version = 1;
CREATE TABLE runs (run TEXT NOT NULL, number INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER NOT NULL, seed
    INTEGER NOT NULL, rounds INTEGER NOT NULL, schema BLOB NOT NULL, strategy TEXT NOT NULL, selector TEXT NOT NULL,
    software TEXT NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL, commits INTEGER NOT NULL, offers
    INTEGER NOT NULL, draws INTEGER NOT NULL, open INTEGER NOT NULL, decided INTEGER NOT NULL, threshold REAL,
    bytes_left INTEGER NOT NULL, wanted INTEGER NOT NULL, selector_state BLOB, engine_state BLOB, PRIMARY KEY (run))
    STRICT, WITHOUT ROWID;
CREATE TABLE nodes (node TEXT NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, software TEXT NOT
    NULL, address TEXT NOT NULL, joined INTEGER NOT NULL, PRIMARY KEY (node)) STRICT, WITHOUT ROWID;
CREATE TABLE members (run TEXT NOT NULL, node TEXT NOT NULL, state INTEGER NOT NULL, task_round INTEGER NOT NULL,
    task_attempt INTEGER NOT NULL, task_commits INTEGER NOT NULL, flags INTEGER NOT NULL, examples INTEGER NOT NULL,
    last_round INTEGER NOT NULL, barred_until INTEGER NOT NULL, offer_order INTEGER NOT NULL, bytes INTEGER NOT
    NULL, offer_loss REAL, offer_seconds REAL, offer_relevance REAL, admitted_relevance REAL, admitted_bytes INTEGER
    NOT NULL, picked INTEGER NOT NULL, folded INTEGER NOT NULL, skipped INTEGER NOT NULL, skipped_in_row INTEGER NOT
    NULL, failed INTEGER NOT NULL, loss REAL, seconds REAL, relevance REAL, model_version INTEGER NOT NULL,
    model_len INTEGER NOT NULL, model_sha256 BLOB NOT NULL, proximal_mu REAL, update_examples INTEGER NOT NULL,
    update_steps INTEGER NOT NULL, update_len INTEGER NOT NULL, update_sha256 BLOB NOT NULL, sketch BLOB, lies
    INTEGER NOT NULL, weight INTEGER NOT NULL, folded_round INTEGER NOT NULL, PRIMARY KEY (run, node)) STRICT,
    WITHOUT ROWID;
CREATE TABLE rounds (run TEXT NOT NULL, round INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER NOT NULL,
    attempts INTEGER NOT NULL, outcome TEXT NOT NULL, version INTEGER NOT NULL, cohort INTEGER NOT NULL, offered
    INTEGER NOT NULL, uploaded INTEGER NOT NULL, folded INTEGER NOT NULL, skipped INTEGER NOT NULL, rejected INTEGER
    NOT NULL, failed INTEGER NOT NULL, late INTEGER NOT NULL, bytes_up INTEGER NOT NULL, bytes_down INTEGER NOT
    NULL, train_loss REAL, loss REAL, accuracy REAL, PRIMARY KEY (run, round)) STRICT, WITHOUT ROWID;
CREATE TABLE offers (run TEXT NOT NULL, round INTEGER NOT NULL, node TEXT NOT NULL, at INTEGER NOT NULL, examples
    INTEGER NOT NULL, steps INTEGER NOT NULL, loss REAL, norm REAL, relevance REAL, len INTEGER NOT NULL, sha256
    BLOB NOT NULL, PRIMARY KEY (run, round, node)) STRICT, WITHOUT ROWID;
CREATE TABLE outcomes (run TEXT NOT NULL, round INTEGER NOT NULL, node TEXT NOT NULL, at INTEGER NOT NULL, outcome
    TEXT NOT NULL, reason TEXT NOT NULL, weight INTEGER NOT NULL, PRIMARY KEY (run, round, node)) STRICT, WITHOUT
    ROWID;
CREATE TABLE versions (run TEXT NOT NULL, version INTEGER NOT NULL, round INTEGER NOT NULL, at INTEGER NOT NULL,
    sha256 BLOB NOT NULL, len INTEGER NOT NULL, PRIMARY KEY (run, version)) STRICT, WITHOUT ROWID;
CREATE TABLE version_blobs (run TEXT NOT NULL, version INTEGER NOT NULL, kind TEXT NOT NULL, sha256 BLOB NOT NULL,
    len INTEGER NOT NULL, PRIMARY KEY (run, version, kind)) STRICT, WITHOUT ROWID;
CREATE TABLE audit (number INTEGER NOT NULL, at INTEGER NOT NULL, run TEXT NOT NULL, round INTEGER NOT NULL, node
    TEXT NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (number)) STRICT, WITHOUT ROWID;
INSERT INTO runs VALUES ('0011aabb', 1, 1700000000000, 0, 7, 20, x'abababababababababababababababababababababababababababababababab',
    'fedavg', 'relevance', 'tributary 0.1.0', 3, 1, 2, 5, 9, 1, 0, 0.625, 1000, 4, x'010203', NULL);
INSERT INTO nodes VALUES ('boat-7', 1700000000001, 1700000000002, 'tributary 0.1.0', '10.0.0.7', 2);
INSERT INTO members VALUES ('0011aabb', 'boat-7', 2, 3, 1, 2, 0, 600, 2, 0, 1, 4096, 0.5, 1.5, NULL, 0.75, 2048, 3, 2, 1,
    0, 0, 0.25, 2.0, 0.9, 2, 4000, x'abababababababababababababababababababababababababababababababab', 0.01, 600, 19, 2000,
    x'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd', x'ff00', 0, 600, 2);
INSERT INTO rounds VALUES ('0011aabb', 2, 1700000000100, 1700000000200, 1, 'committed', 2, 4, 4, 3, 3, 1, 0, 0, 0, 6000, 16000,
    0.7, 0.6, NULL);
INSERT INTO offers VALUES ('0011aabb', 2, 'boat-7', 1700000000150, 600, 19, 0.7, 3.5, 0.8, 2000,
    x'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd');
INSERT INTO outcomes VALUES ('0011aabb', 2, 'boat-7', 1700000000190, 'folded', '', 600);
INSERT INTO versions VALUES ('0011aabb', 2, 2, 1700000000200, x'abababababababababababababababababababababababababababababababab', 4000);
INSERT INTO version_blobs VALUES ('0011aabb', 2, 'model', x'abababababababababababababababababababababababababababababababab', 4000);
INSERT INTO audit VALUES (1, 1700000000000, '0011aabb', 0, '', 'run_began', 'seed=7');
