-- People who sign in, their browsers, and the tokens that their command lines hold.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE users (
    name            TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    role            TEXT   NOT NULL CHECK (role IN ('viewer', 'operator', 'approver', 'admin')),
    -- Argon2id, as a PHC string; NULL for whoever signs in only elsewhere.
    password_hash   TEXT,
    -- Who they are at an OpenID provider.
    oidc_issuer     TEXT   COLLATE "C",
    oidc_subject    TEXT   COLLATE "C",
    created_at      BIGINT NOT NULL,
    disabled_at     BIGINT,
    -- Sign-ins that failed since the last that did not, or since the last lock.
    failed_attempts BIGINT NOT NULL CHECK (failed_attempts >= 0),
    locked_until    BIGINT,
    signed_in_at    BIGINT,
    CHECK ((oidc_issuer IS NULL) = (oidc_subject IS NULL))
);

CREATE UNIQUE INDEX users_by_subject ON users (oidc_issuer, oidc_subject);

-- Whose sign-in made the token: it ends with them.
ALTER TABLE api_tokens ADD COLUMN owner TEXT COLLATE "C" REFERENCES users (name) ON DELETE CASCADE;

CREATE INDEX api_tokens_by_owner ON api_tokens (owner);

-- Browsers that are signed in: by a user, by an API token, or, with neither, by a code of the controller's machine.
CREATE TABLE browser_sessions (
    id          TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    secret_hash BYTEA  NOT NULL CHECK (length(secret_hash) = 32),
    user_name   TEXT   COLLATE "C" REFERENCES users (name) ON DELETE CASCADE,
    api_token   TEXT   COLLATE "C" REFERENCES api_tokens (id) ON DELETE CASCADE,
    created_at  BIGINT NOT NULL,
    used_at     BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    address     TEXT   NOT NULL,
    user_agent  TEXT   NOT NULL,
    CHECK (user_name IS NULL OR api_token IS NULL)
);

CREATE INDEX browser_sessions_by_user ON browser_sessions (user_name, created_at);
CREATE INDEX browser_sessions_by_token ON browser_sessions (api_token);

-- Sign-ins that are under way at an OpenID provider; a row is used once.
CREATE TABLE oidc_sign_ins (
    cookie_hash BYTEA  NOT NULL PRIMARY KEY CHECK (length(cookie_hash) = 32),
    expires_at  BIGINT NOT NULL
);
