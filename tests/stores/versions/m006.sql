BEGIN TRANSACTION;
CREATE TABLE bodies ( -- messages, each distinct one once
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE, -- BLAKE2b, 16 bytes, of the body
    body TEXT NOT NULL         -- JSON, as it was asked with
);
INSERT INTO "bodies" VALUES(1,X'B722DE09A5A783B8CFC5AB456E381347','{"role":"system","content":"Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. "}');
INSERT INTO "bodies" VALUES(2,X'5862706285B4DA242C1056FCF21D274A','{"role":"user","content":"Question 0"}');
INSERT INTO "bodies" VALUES(3,X'0F05C9A62745BF5CA7FBC01BC41F5886','{"role":"assistant","content":"Answer 0"}');
INSERT INTO "bodies" VALUES(4,X'DB7075CC9A3B725F9A6266851A76E551','{"role":"user","content":"Question 1"}');
INSERT INTO "bodies" VALUES(5,X'5133695FD4FDB785FAE2AEDC4304B6FE','{"role":"assistant","content":"Answer 1"}');
INSERT INTO "bodies" VALUES(6,X'60C0FFE3D2E6B02C888FF006432E8926','{"role":"user","content":"Question 2"}');
CREATE TABLE conversations ( -- one message after another conversation: a tree of all that was said
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE, -- BLAKE2b, 16 bytes, of the hashes of its messages up to this
    previous INTEGER,          -- the conversation before the message; null for the first
    place INTEGER NOT NULL,    -- of the message, from 0
    body INTEGER NOT NULL      -- the message, see bodies
);
INSERT INTO "conversations" VALUES(1,X'C3DEC05C34AE7E5C946895133B5594B0',NULL,0,1);
INSERT INTO "conversations" VALUES(2,X'AF5B5FA1C53573AF6EB734C9B4156D2F',1,1,2);
INSERT INTO "conversations" VALUES(3,X'06B285BCB0FA1C964F5DED4089C55690',2,2,3);
INSERT INTO "conversations" VALUES(4,X'80AF8FE3B95B0B240BAB0A9A02E26C50',3,3,4);
INSERT INTO "conversations" VALUES(5,X'998CD43A8DBE170120B1DE25163F276C',4,4,5);
INSERT INTO "conversations" VALUES(6,X'60FDE239D5A8B9F87F630E618DF978D5',5,5,6);
CREATE TABLE edits ( -- what was set on a row apart from logging it, after or before: it wins over the row
    edited_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')), -- when, for forgetting orphans
    
    trace_id TEXT PRIMARY KEY,        -- one call, or one function that a client logged
    root_trace_id TEXT,      -- the whole tree it belongs to; its own id for the root
    parent_trace_id TEXT,             -- the row above it; null for the root
    session_id TEXT,                  -- many trees of one conversation
    name TEXT,                        -- of the function, or llm-<provider>
    project_name TEXT,                -- see projects
    project_uuid TEXT,                -- see projects
    deployment_id TEXT,               -- the deployed prompt
    deployment_version TEXT,          -- and which version of it answered
    experiment_uuid TEXT,
    end_user TEXT,                    -- the person whom the answer was for, as the client calls them
    tags TEXT,                        -- JSON list of strings
    metadata TEXT,                    -- JSON object
    target TEXT,                      -- the answer that would have been right
    eval_metric_ids TEXT,             -- JSON list of integers
    provider TEXT,
    model TEXT,
    inputs TEXT,                      -- JSON object: what the template was filled with, or the function's arguments
    configuration TEXT,               -- JSON object: model, provider, model_params, messages, functions, function_call
    output TEXT,                      -- the answer's text, or the function's result
    input_tokens INTEGER,
    output_tokens INTEGER,
    total_tokens INTEGER,
    cost REAL,                        -- USD; for a cache hit what the call would have cost
    latency REAL,                     -- seconds
    time_to_first_token REAL,         -- seconds; only for streams
    start_timestamp TEXT,             -- ISO 8601, UTC, microseconds: sorts as text
    end_timestamp TEXT,               -- the same
    status TEXT,                      -- success, error or cancelled; null when the client left it out
    error TEXT,                       -- a message, or a traceback that the client sent
    cache_hit INTEGER, -- 1: answered by the cache, nothing was spent
    sample_rate REAL,                 -- the probability with which the whole trace was kept
    scores TEXT,                      -- JSON list of {name, score, reason}
    feedback_score REAL,              -- 0 to 1, the latest feedback of a person
    notes TEXT,                       -- JSON object: what the gateway remarks: dropped parameters, cache, dialect
    extra TEXT                        -- JSON object: what a client logged that has no column here
, key TEXT /* of the config's `keys`: who called */);
INSERT INTO "edits" VALUES('9999-01-01','tool',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'Rome',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0.5,NULL,NULL,NULL);
INSERT INTO "edits" VALUES('9999-01-01','agent',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"edited":true}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "edits" VALUES('9999-01-01','to-come',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1.0,NULL,NULL,NULL);
CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at TEXT DEFAULT CURRENT_TIMESTAMP);
INSERT INTO "migrations" VALUES('m001_traces','2026-11-21 23:22:11');
INSERT INTO "migrations" VALUES('m002_projects','2026-11-21 23:22:11');
INSERT INTO "migrations" VALUES('m003_sampled_out','2026-11-21 23:22:11');
INSERT INTO "migrations" VALUES('m004_keys','2026-11-21 23:22:11');
INSERT INTO "migrations" VALUES('m005_conversations','2026-11-21 23:22:11');
INSERT INTO "migrations" VALUES('m006_views','2026-11-21 23:22:11');
CREATE TABLE projects (
    name TEXT PRIMARY KEY,     -- as the client calls it
    uuid TEXT NOT NULL UNIQUE, -- made from the name, so that every process makes the same
    created_at TEXT NOT NULL   -- ISO 8601, UTC
);
INSERT INTO "projects" VALUES('demo','3dbe3541-7f51-5beb-834d-071f21ebb187','2026-11-21T23:22:11.408993+00:00');
CREATE TABLE sampled_out (
    root_trace_id TEXT PRIMARY KEY, -- the trace; whatever comes later under this root is counted here too
    start_timestamp TEXT,           -- of its earliest row
    calls INTEGER NOT NULL,         -- how many rows the trace would have
    errors INTEGER NOT NULL,        -- of these, how many failed
    cache_hits INTEGER NOT NULL,    -- of these, how many were answered by the cache
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost REAL NOT NULL,             -- USD spent
    saved REAL NOT NULL,            -- USD that the cache hits would have cost
    members TEXT NOT NULL           -- JSON: what was counted for each trace id, so that none counts twice
);
INSERT INTO "sampled_out" VALUES('lost','2026-01-01T00:00:08.000000+00:00',1,0,0,5,1,0.125,0.0,'{"lost":{"status":"success","input_tokens":5,"output_tokens":1,"cost":0.125,"start_timestamp":"2026-01-01T00:00:08.000000+00:00"}}');
CREATE TABLE spend ( -- what calls cost, counted with their rows, kept or not, and never uncounted
    key TEXT NOT NULL,            -- by its name
    day TEXT NOT NULL,            -- on which the calls ended, ISO 8601, UTC
    nanodollars INTEGER NOT NULL, -- 10^-9 USD; each call to the nearest, but 1 at least
    calls INTEGER NOT NULL,       -- that cost something
    PRIMARY KEY (key, day)
) WITHOUT ROWID;
INSERT INTO "spend" VALUES('team-a','2026-01-01',750000000,3);
CREATE TABLE traces (
    trace_id TEXT PRIMARY KEY,        -- one call, or one function that a client logged
    root_trace_id TEXT NOT NULL,      -- the whole tree it belongs to; its own id for the root
    parent_trace_id TEXT,             -- the row above it; null for the root
    session_id TEXT,                  -- many trees of one conversation
    name TEXT,                        -- of the function, or llm-<provider>
    project_name TEXT,                -- see projects
    project_uuid TEXT,                -- see projects
    deployment_id TEXT,               -- the deployed prompt
    deployment_version TEXT,          -- and which version of it answered
    experiment_uuid TEXT,
    end_user TEXT,                    -- the person whom the answer was for, as the client calls them
    tags TEXT,                        -- JSON list of strings
    metadata TEXT,                    -- JSON object
    target TEXT,                      -- the answer that would have been right
    eval_metric_ids TEXT,             -- JSON list of integers
    provider TEXT,
    model TEXT,
    inputs TEXT,                      -- JSON object: what the template was filled with, or the function's arguments
    configuration TEXT,               -- JSON object: model, provider, model_params, messages, functions, function_call
    output TEXT,                      -- the answer's text, or the function's result
    input_tokens INTEGER,
    output_tokens INTEGER,
    total_tokens INTEGER,
    cost REAL,                        -- USD; for a cache hit what the call would have cost
    latency REAL,                     -- seconds
    time_to_first_token REAL,         -- seconds; only for streams
    start_timestamp TEXT,             -- ISO 8601, UTC, microseconds: sorts as text
    end_timestamp TEXT,               -- the same
    status TEXT,                      -- success, error or cancelled; null when the client left it out
    error TEXT,                       -- a message, or a traceback that the client sent
    cache_hit INTEGER NOT NULL DEFAULT 0, -- 1: answered by the cache, nothing was spent
    sample_rate REAL,                 -- the probability with which the whole trace was kept
    scores TEXT,                      -- JSON list of {name, score, reason}
    feedback_score REAL,              -- 0 to 1, the latest feedback of a person
    notes TEXT,                       -- JSON object: what the gateway remarks: dropped parameters, cache, dialect
    extra TEXT                        -- JSON object: what a client logged that has no column here
, key TEXT /* of the config's `keys`: who called */, conversation INTEGER /* see conversations: where it is set, the messages of `configuration` are there, and null here */);
INSERT INTO "traces" VALUES('agent','agent',NULL,'s-1','agent',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"edited":true}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,9.0,NULL,'2026-01-01T00:00:01.000000+00:00',NULL,'success',NULL,0,1.0,NULL,NULL,NULL,'{"own":[1]}',NULL,NULL);
INSERT INTO "traces" VALUES('turn-0','agent','agent','s-1','llm-openai','demo',NULL,'p-weather','v1',NULL,'ann','["red"]','{"team":"red","none":null}',NULL,NULL,'openai','gpt-4o','{"city":"Rome"}','{"model":"gpt-4o","model_params":{"temp":0.5},"messages":null}','Answer 0 ☃',100,10,110,0.25,1.5,0.25,'2026-01-01T00:00:02.000000+00:00','2026-01-01T00:00:03.000000+00:00','success',NULL,0,1.0,'[{"name":"quality","score":1.0}]',NULL,'{"dialect":"openai","cache":"miss"}',NULL,'team-a',2);
INSERT INTO "traces" VALUES('turn-1','agent','agent','s-1','llm-openai','demo',NULL,'p-weather','v1',NULL,'ann','["red"]','{"team":"red","none":null}',NULL,NULL,'openai','gpt-4o','{"city":"Rome"}','{"model":"gpt-4o","model_params":{"temp":0.5},"messages":null}','Answer 1 ☃',100,10,110,0.25,1.5,0.25,'2026-01-01T00:00:03.000000+00:00','2026-01-01T00:00:04.000000+00:00','success',NULL,0,1.0,'[{"name":"quality","score":1.0}]',NULL,'{"dialect":"openai","cache":"miss"}',NULL,'team-a',4);
INSERT INTO "traces" VALUES('turn-2','agent','agent','s-1','llm-openai','demo',NULL,'p-weather','v1',NULL,'ann','["red"]','{"team":"red","none":null}',NULL,NULL,'openai','gpt-4o','{"city":"Rome"}','{"model":"gpt-4o","model_params":{"temp":0.5},"messages":null}','Answer 2 ☃',100,10,110,0.25,1.5,0.25,'2026-01-01T00:00:04.000000+00:00','2026-01-01T00:00:05.000000+00:00','success',NULL,0,1.0,'[{"name":"quality","score":1.0}]',NULL,'{"dialect":"openai","cache":"miss"}',NULL,'team-a',6);
INSERT INTO "traces" VALUES('tool','agent','turn-2',NULL,'tool',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'Rome',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-01-01T00:00:06.000000+00:00',NULL,'error','no such city',0,1.0,NULL,0.5,NULL,NULL,NULL,NULL);
INSERT INTO "traces" VALUES('hit','hit',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'openai','gpt-4o',NULL,'{"messages":[{"role":"user","content":"Hi"}]}','cached',NULL,NULL,NULL,0.5,NULL,NULL,'2026-01-01T00:00:07.000000+00:00',NULL,'success',NULL,1,1.0,NULL,NULL,'{"cache":"hit"}',NULL,NULL,NULL);
CREATE INDEX traces_by_root ON traces (root_trace_id);
CREATE INDEX traces_by_start ON traces (start_timestamp);
CREATE VIEW totals AS -- over kept and sampled-out traces together
SELECT coalesce(sum(calls), 0) AS calls,
    coalesce(sum(errors), 0) AS errors,
    coalesce(sum(cache_hits), 0) AS cache_hits,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(cost), 0) AS cost,
    coalesce(sum(saved), 0) AS saved
FROM (
    SELECT count(*) AS calls, sum(status = 'error') AS errors, sum(cache_hit) AS cache_hits,
        sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
        sum(CASE WHEN cache_hit = 0 THEN cost END) AS cost, sum(CASE WHEN cache_hit = 1 THEN cost END) AS saved
    FROM traces
    UNION ALL
    SELECT sum(calls), sum(errors), sum(cache_hits), sum(input_tokens), sum(output_tokens), sum(cost), sum(saved)
    FROM sampled_out
);
CREATE INDEX conversations_by_previous ON conversations (previous);
CREATE INDEX conversations_by_body ON conversations (body);
CREATE INDEX traces_by_conversation ON traces (conversation) WHERE conversation IS NOT NULL;
CREATE TRIGGER traces_deleted AFTER DELETE ON traces WHEN OLD.conversation IS NOT NULL BEGIN
    DELETE FROM conversations WHERE id IN (
        WITH RECURSIVE orphans(id, previous) AS (
            SELECT id, previous FROM conversations WHERE id = OLD.conversation
                AND NOT EXISTS (SELECT 1 FROM traces WHERE conversation = OLD.conversation)
                AND NOT EXISTS (SELECT 1 FROM conversations AS next WHERE next.previous = OLD.conversation)
            UNION ALL
            SELECT above.id, above.previous FROM orphans JOIN conversations AS above ON above.id = orphans.previous
            WHERE NOT EXISTS (SELECT 1 FROM traces WHERE conversation = above.id)
                AND NOT EXISTS (SELECT 1 FROM conversations AS next
                    WHERE next.previous = above.id AND next.id <> orphans.id)
        ) SELECT id FROM orphans);
END;
CREATE TRIGGER traces_changed AFTER UPDATE OF conversation ON traces
WHEN OLD.conversation IS NOT NULL AND OLD.conversation IS NOT NEW.conversation BEGIN
    DELETE FROM conversations WHERE id IN (
        WITH RECURSIVE orphans(id, previous) AS (
            SELECT id, previous FROM conversations WHERE id = OLD.conversation
                AND NOT EXISTS (SELECT 1 FROM traces WHERE conversation = OLD.conversation)
                AND NOT EXISTS (SELECT 1 FROM conversations AS next WHERE next.previous = OLD.conversation)
            UNION ALL
            SELECT above.id, above.previous FROM orphans JOIN conversations AS above ON above.id = orphans.previous
            WHERE NOT EXISTS (SELECT 1 FROM traces WHERE conversation = above.id)
                AND NOT EXISTS (SELECT 1 FROM conversations AS next
                    WHERE next.previous = above.id AND next.id <> orphans.id)
        ) SELECT id FROM orphans);
END;
CREATE TRIGGER conversations_deleted AFTER DELETE ON conversations BEGIN
    DELETE FROM bodies WHERE id = OLD.body AND NOT EXISTS (SELECT 1 FROM conversations WHERE body = OLD.body);
END;
CREATE INDEX traces_by_session ON traces (session_id, start_timestamp) WHERE session_id IS NOT NULL;
CREATE INDEX traces_by_failure ON traces (start_timestamp) WHERE status = 'error';
CREATE VIEW requests AS -- one row a call: of a model, or of a function that a client logged
SELECT
    t.trace_id, -- the call
    t.root_trace_id, -- its tree, see trees
    t.parent_trace_id, -- the call above it; null at the top
    t.session_id, -- see sessions
    t.start_timestamp, -- ISO 8601, UTC
    t.end_timestamp, -- the same
    t.name, -- of the function, or llm-<provider>
    coalesce(t.notes ->> 'kind', CASE WHEN t.model IS NULL THEN 'function' ELSE 'chat' END)
        AS kind, -- of call: chat, text, embedding, function
    t.notes ->> 'dialect' AS dialect, -- the API by which it came; null for what clients logged
    coalesce((SELECT name FROM projects WHERE uuid = t.project_uuid), t.project_name, t.project_uuid, 'default') AS project, -- by its name
    t.deployment_id, -- the deployed prompt
    t.deployment_version, -- and which version of it answered
    t.key, -- of the config's keys: who called
    t.end_user, -- the person whom the answer was for
    t.provider, -- that answered
    t.model, -- that answered
    t.notes ->> 'target' AS target, -- of the config, that answered or failed last
    t.status, -- success, error or cancelled
    t.error, -- what went wrong
    t.notes ->> 'cache' AS cache, -- hit, miss, shared or bypass
    t.input_tokens, -- as the provider counted
    t.output_tokens, -- as the provider counted
    t.total_tokens, -- both
    CASE WHEN t.cache_hit = 0 THEN t.cost WHEN t.cost IS NOT NULL THEN 0.0 END AS cost, -- USD spent
    CASE WHEN t.cache_hit = 1 THEN t.cost END AS saved, -- USD that a cache hit would have cost
    t.latency, -- seconds
    t.time_to_first_token, -- seconds; only for streams
    t.notes ->> 'finish_reason' AS finish_reason, -- why the answer ended
    t.tags, -- JSON list
    t.metadata, -- JSON object
    t.inputs, -- JSON object: what the template was filled with, or the function's arguments
    CASE WHEN t.conversation IS NULL THEN t.configuration
    ELSE json_set(t.configuration, '$.messages', json((
        SELECT '[' || group_concat(body, ',') || ']' FROM (
            WITH RECURSIVE line(previous, place, body) AS (
                SELECT previous, place, body FROM conversations WHERE id = t.conversation
                UNION ALL
                SELECT c.previous, c.place, c.body FROM line JOIN conversations AS c ON c.id = line.previous
            )
            SELECT bodies.body FROM line JOIN bodies ON bodies.id = line.body ORDER BY line.place)))) END
        AS configuration, -- JSON object: model, model_params, messages, functions; whole, wherever its messages are
    t.output, -- the answer's text, or the function's result
    t.target AS expected, -- the answer that would have been right
    t.scores, -- JSON list of name, score, reason
    t.feedback_score -- 0 to 1, the latest feedback of a person
FROM traces AS t WHERE t.trace_id IS NOT t.session_id;
CREATE VIEW trees AS -- one row a tree: a call at the top and all that it led to
SELECT
    t.root_trace_id, -- the tree
    t.trace_id, -- its top row: the root, or the earliest row as long as the root is not there
    t.start_timestamp, -- of the top row
    t.name, -- of the top row
    coalesce((SELECT name FROM projects WHERE uuid = t.project_uuid), t.project_name, t.project_uuid, 'default') AS project, -- of the top row
    t.session_id, -- see sessions
    t.status, -- of the top row
    coalesce(t.latency, (SELECT round(86400 * (julianday(max(coalesce(b.end_timestamp, b.start_timestamp)))
        - julianday(min(b.start_timestamp))), 3) FROM traces AS b WHERE b.root_trace_id = t.root_trace_id))
        AS latency, -- seconds: the top row's, else from the first start to the last end
    (SELECT count(*) FROM traces AS b WHERE b.root_trace_id = t.root_trace_id) AS calls, -- rows of the tree
    (SELECT count(*) FROM traces AS b WHERE b.root_trace_id = t.root_trace_id AND b.status = 'error') AS errors, -- of these, how many failed
    (SELECT coalesce(sum(b.input_tokens), 0) FROM traces AS b WHERE b.root_trace_id = t.root_trace_id) AS input_tokens, -- of all its calls
    (SELECT coalesce(sum(b.output_tokens), 0) FROM traces AS b WHERE b.root_trace_id = t.root_trace_id) AS output_tokens, -- of all its calls
    (SELECT coalesce(sum(CASE WHEN b.cache_hit = 0 THEN b.cost END), 0.0) FROM traces AS b WHERE b.root_trace_id = t.root_trace_id) AS cost, -- USD spent
    (SELECT coalesce(sum(CASE WHEN b.cache_hit = 1 THEN b.cost END), 0.0) FROM traces AS b WHERE b.root_trace_id = t.root_trace_id)
        AS saved, -- USD that cache hits would have cost
    (WITH RECURSIVE
    tree AS MATERIALIZED (SELECT b.trace_id AS id, b.parent_trace_id AS parent FROM traces AS b WHERE b.root_trace_id = t.root_trace_id),
    below(id, depth) AS (
        SELECT id, CASE WHEN id = t.root_trace_id THEN 1 ELSE 2 END FROM tree
        WHERE id = t.root_trace_id OR parent IS NULL OR parent NOT IN (SELECT id FROM tree)
        UNION ALL
        SELECT tree.id, below.depth + 1 FROM below JOIN tree ON tree.parent = below.id
        WHERE tree.id <> t.root_trace_id
    ) SELECT coalesce(max(depth), 1) FROM below) AS depth -- levels of calls; 1 for a call alone
FROM traces AS t
WHERE t.trace_id = t.root_trace_id OR (
    NOT EXISTS (SELECT 1 FROM traces AS p WHERE p.trace_id = t.root_trace_id)
    AND t.rowid = (SELECT b.rowid FROM traces AS b WHERE b.root_trace_id = t.root_trace_id
        ORDER BY b.start_timestamp, b.rowid LIMIT 1));
CREATE VIEW messages AS -- one row a message that a call was asked with; its answer is in requests
SELECT
    t.trace_id, -- the call, see requests
    t.start_timestamp, -- of the call
    m.key AS place, -- of the message, from 0
    CASE WHEN m.type = 'object' THEN m.value ->> 'role' END AS role, -- system, user, assistant, tool
    CASE WHEN m.type = 'object' THEN m.value ->> 'content' ELSE m.value END
        AS content, -- text, or JSON where it has parts
    m.value AS message -- JSON, whole
FROM traces AS t, json_each(CASE WHEN t.conversation IS NULL THEN t.configuration
    ELSE json_set(t.configuration, '$.messages', json((
        SELECT '[' || group_concat(body, ',') || ']' FROM (
            WITH RECURSIVE line(previous, place, body) AS (
                SELECT previous, place, body FROM conversations WHERE id = t.conversation
                UNION ALL
                SELECT c.previous, c.place, c.body FROM line JOIN conversations AS c ON c.id = line.previous
            )
            SELECT bodies.body FROM line JOIN bodies ON bodies.id = line.body ORDER BY line.place)))) END, '$.messages') AS m;
CREATE VIEW sessions AS -- one row a session: many trees of one conversation
SELECT
    t.session_id, -- the session
    min(t.start_timestamp) AS start_timestamp, -- of its first call
    max(coalesce(t.end_timestamp, t.start_timestamp)) AS end_timestamp, -- of its last call
    max(t.end_user) AS end_user, -- the person whom the answers were for
    count(DISTINCT t.root_trace_id) AS trees, -- of calls
    count(*) AS calls, -- in the session
    coalesce(sum(t.status = 'error'), 0) AS errors, -- of these, how many failed
    coalesce(sum(t.cache_hit), 0) AS cache_hits, -- of these, how many the cache answered
    coalesce(sum(t.input_tokens), 0) AS input_tokens, -- of all calls
    coalesce(sum(t.output_tokens), 0) AS output_tokens, -- of all calls
    coalesce(sum(CASE WHEN t.cache_hit = 0 THEN t.cost END), 0.0) AS cost, -- USD spent
    coalesce(sum(CASE WHEN t.cache_hit = 1 THEN t.cost END), 0.0) AS saved -- USD that the cache hits would have cost
FROM traces AS t WHERE t.session_id IS NOT NULL AND t.trace_id <> t.session_id GROUP BY t.session_id;
CREATE VIEW spend_daily AS -- one row for each day, project, key and model; what was sampled out too
SELECT
    substr(t.start_timestamp, 1, 10) AS day, -- on which the calls began, UTC
    coalesce((SELECT name FROM projects WHERE uuid = t.project_uuid), t.project_name, t.project_uuid, 'default') AS project, -- by its name; null for what was sampled out
    t.key, -- of the config's keys: who called
    t.provider, -- that answered; null for what was sampled out
    t.model, -- that answered; null for what was sampled out
    count(*) AS calls, -- of that day, project, key and model
    coalesce(sum(t.status = 'error'), 0) AS errors, -- of these, how many failed
    coalesce(sum(t.cache_hit), 0) AS cache_hits, -- of these, how many the cache answered
    coalesce(sum(t.input_tokens), 0) AS input_tokens, -- of all calls
    coalesce(sum(t.output_tokens), 0) AS output_tokens, -- of all calls
    coalesce(sum(CASE WHEN t.cache_hit = 0 THEN t.cost END), 0.0) AS cost, -- USD spent
    coalesce(sum(CASE WHEN t.cache_hit = 1 THEN t.cost END), 0.0) AS saved -- USD that the cache hits would have cost
FROM traces AS t WHERE t.trace_id IS NOT t.session_id GROUP BY 1, 2, 3, 4, 5
UNION ALL
SELECT substr(start_timestamp, 1, 10), NULL, NULL, NULL, NULL, sum(calls), sum(errors), sum(cache_hits),
    sum(input_tokens), sum(output_tokens), sum(cost), sum(saved)
FROM sampled_out GROUP BY 1;
CREATE VIEW deployments AS -- one row for each version of a deployment that was called
SELECT
    t.deployment_id, -- the deployed prompt
    t.deployment_version, -- and its version
    min(t.start_timestamp) AS first_used, -- its first call
    max(t.start_timestamp) AS last_used, -- its last call
    avg(CASE WHEN t.cache_hit = 0 THEN t.latency END) AS latency, -- seconds, the mean of what the cache did not answer
    avg(t.feedback_score) AS feedback, -- 0 to 1, the mean
    count(*) AS calls, -- of this version
    coalesce(sum(t.status = 'error'), 0) AS errors, -- of these, how many failed
    coalesce(sum(t.cache_hit), 0) AS cache_hits, -- of these, how many the cache answered
    coalesce(sum(t.input_tokens), 0) AS input_tokens, -- of all calls
    coalesce(sum(t.output_tokens), 0) AS output_tokens, -- of all calls
    coalesce(sum(CASE WHEN t.cache_hit = 0 THEN t.cost END), 0.0) AS cost, -- USD spent
    coalesce(sum(CASE WHEN t.cache_hit = 1 THEN t.cost END), 0.0) AS saved -- USD that the cache hits would have cost
FROM traces AS t WHERE t.deployment_id IS NOT NULL GROUP BY t.deployment_id, t.deployment_version;
CREATE VIEW cache AS -- one row a model: how its calls fared with the cache
SELECT
    t.provider, -- that answered
    t.model, -- that answered
    count(*) AS calls, -- that came by the gateway
    sum(t.notes ->> 'cache' = 'hit') AS hits, -- answered from the cache
    sum(t.notes ->> 'cache' = 'shared') AS shared, -- answered together with another call that asked the same
    sum(t.notes ->> 'cache' = 'miss') AS misses, -- asked for, and not there
    sum(t.notes ->> 'cache' = 'bypass') AS bypassed, -- not asked
    avg(t.notes ->> 'cache' IN ('hit', 'shared')) AS hit_rate, -- of all calls, 0 to 1
    coalesce(sum(CASE WHEN t.cache_hit = 1 THEN t.cost END), 0.0) AS saved -- USD that the hits would have cost
FROM traces AS t WHERE t.notes ->> 'cache' IS NOT NULL GROUP BY t.provider, t.model;
COMMIT;
