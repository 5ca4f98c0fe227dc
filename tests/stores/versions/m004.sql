BEGIN TRANSACTION;
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
INSERT INTO "migrations" VALUES('m001_traces','2026-11-21 23:22:10');
INSERT INTO "migrations" VALUES('m002_projects','2026-11-21 23:22:10');
INSERT INTO "migrations" VALUES('m003_sampled_out','2026-11-21 23:22:10');
INSERT INTO "migrations" VALUES('m004_keys','2026-11-21 23:22:10');
CREATE TABLE projects (
    name TEXT PRIMARY KEY,     -- as the client calls it
    uuid TEXT NOT NULL UNIQUE, -- made from the name, so that every process makes the same
    created_at TEXT NOT NULL   -- ISO 8601, UTC
);
INSERT INTO "projects" VALUES('demo','3dbe3541-7f51-5beb-834d-071f21ebb187','2026-11-21T23:22:10.609703+00:00');
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
, key TEXT /* of the config's `keys`: who called */);
INSERT INTO "traces" VALUES('agent','agent',NULL,'s-1','agent',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"edited":true}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,9.0,NULL,'2026-01-01T00:00:01.000000+00:00',NULL,'success',NULL,0,1.0,NULL,NULL,NULL,'{"own":[1]}',NULL);
INSERT INTO "traces" VALUES('turn-0','agent','agent','s-1','llm-openai','demo',NULL,'p-weather','v1',NULL,'ann','["red"]','{"team":"red","none":null}',NULL,NULL,'openai','gpt-4o','{"city":"Rome"}','{"model":"gpt-4o","model_params":{"temp":0.5},"messages":[{"role":"system","content":"Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. "},{"role":"user","content":"Question 0"}]}','Answer 0 ☃',100,10,110,0.25,1.5,0.25,'2026-01-01T00:00:02.000000+00:00','2026-01-01T00:00:03.000000+00:00','success',NULL,0,1.0,'[{"name":"quality","score":1.0}]',NULL,'{"dialect":"openai","cache":"miss"}',NULL,'team-a');
INSERT INTO "traces" VALUES('turn-1','agent','agent','s-1','llm-openai','demo',NULL,'p-weather','v1',NULL,'ann','["red"]','{"team":"red","none":null}',NULL,NULL,'openai','gpt-4o','{"city":"Rome"}','{"model":"gpt-4o","model_params":{"temp":0.5},"messages":[{"role":"system","content":"Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. "},{"role":"user","content":"Question 0"},{"role":"assistant","content":"Answer 0"},{"role":"user","content":"Question 1"}]}','Answer 1 ☃',100,10,110,0.25,1.5,0.25,'2026-01-01T00:00:03.000000+00:00','2026-01-01T00:00:04.000000+00:00','success',NULL,0,1.0,'[{"name":"quality","score":1.0}]',NULL,'{"dialect":"openai","cache":"miss"}',NULL,'team-a');
INSERT INTO "traces" VALUES('turn-2','agent','agent','s-1','llm-openai','demo',NULL,'p-weather','v1',NULL,'ann','["red"]','{"team":"red","none":null}',NULL,NULL,'openai','gpt-4o','{"city":"Rome"}','{"model":"gpt-4o","model_params":{"temp":0.5},"messages":[{"role":"system","content":"Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. Be terse. "},{"role":"user","content":"Question 0"},{"role":"assistant","content":"Answer 0"},{"role":"user","content":"Question 1"},{"role":"assistant","content":"Answer 1"},{"role":"user","content":"Question 2"}]}','Answer 2 ☃',100,10,110,0.25,1.5,0.25,'2026-01-01T00:00:04.000000+00:00','2026-01-01T00:00:05.000000+00:00','success',NULL,0,1.0,'[{"name":"quality","score":1.0}]',NULL,'{"dialect":"openai","cache":"miss"}',NULL,'team-a');
INSERT INTO "traces" VALUES('tool','agent','turn-2',NULL,'tool',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'Rome',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-01-01T00:00:06.000000+00:00',NULL,'error','no such city',0,1.0,NULL,0.5,NULL,NULL,NULL);
INSERT INTO "traces" VALUES('hit','hit',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'openai','gpt-4o',NULL,'{"messages":[{"role":"user","content":"Hi"}]}','cached',NULL,NULL,NULL,0.5,NULL,NULL,'2026-01-01T00:00:07.000000+00:00',NULL,'success',NULL,1,1.0,NULL,NULL,'{"cache":"hit"}',NULL,NULL);
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
COMMIT;
