"""The views, as the step `m006_views` makes them: what people and tools ask instead of the tables.

They are never edited once released; a later step drops one and makes it anew (`sums.py`). Every column stands on a line
of its own with what it means, from which docs/schema.md is made. Costs of cache hits are `saved`, never spent.
"""

from __future__ import annotations

_PROJECT = (
    "coalesce((SELECT name FROM projects WHERE uuid = t.project_uuid), t.project_name, t.project_uuid, 'default')"
)

_CONFIGURATION = """CASE WHEN t.conversation IS NULL THEN t.configuration
    ELSE json_set(t.configuration, '$.messages', json((
        SELECT '[' || group_concat(body, ',') || ']' FROM (
            WITH RECURSIVE line(previous, place, body) AS (
                SELECT previous, place, body FROM conversations WHERE id = t.conversation
                UNION ALL
                SELECT c.previous, c.place, c.body FROM line JOIN conversations AS c ON c.id = line.previous
            )
            SELECT bodies.body FROM line JOIN bodies ON bodies.id = line.body ORDER BY line.place)))) END"""

_SUMS = """count(*) AS calls, -- {rows}
    coalesce(sum(t.status = 'error'), 0) AS errors, -- of these, how many failed
    coalesce(sum(t.cache_hit), 0) AS cache_hits, -- of these, how many the cache answered
    coalesce(sum(t.input_tokens), 0) AS input_tokens, -- of all calls
    coalesce(sum(t.output_tokens), 0) AS output_tokens, -- of all calls
    coalesce(sum(CASE WHEN t.cache_hit = 0 THEN t.cost END), 0.0) AS cost, -- USD spent
    coalesce(sum(CASE WHEN t.cache_hit = 1 THEN t.cost END), 0.0) AS saved -- USD that the cache hits would have cost"""

REQUESTS = f"""CREATE VIEW requests AS -- one row a call: of a model, or of a function that a client logged
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
    {_PROJECT} AS project, -- by its name
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
    {_CONFIGURATION}
        AS configuration, -- JSON object: model, model_params, messages, functions; whole, wherever its messages are
    t.output, -- the answer's text, or the function's result
    t.target AS expected, -- the answer that would have been right
    t.scores, -- JSON list of name, score, reason
    t.feedback_score -- 0 to 1, the latest feedback of a person
FROM traces AS t WHERE t.trace_id IS NOT t.session_id"""

_TREE = "FROM traces AS b WHERE b.root_trace_id = t.root_trace_id"

TREES = f"""CREATE VIEW trees AS -- one row a tree: a call at the top and all that it led to
SELECT
    t.root_trace_id, -- the tree
    t.trace_id, -- its top row: the root, or the earliest row as long as the root is not there
    t.start_timestamp, -- of the top row
    t.name, -- of the top row
    {_PROJECT} AS project, -- of the top row
    t.session_id, -- see sessions
    t.status, -- of the top row
    coalesce(t.latency, (SELECT round(86400 * (julianday(max(coalesce(b.end_timestamp, b.start_timestamp)))
        - julianday(min(b.start_timestamp))), 3) {_TREE}))
        AS latency, -- seconds: the top row's, else from the first start to the last end
    (SELECT count(*) {_TREE}) AS calls, -- rows of the tree
    (SELECT count(*) {_TREE} AND b.status = 'error') AS errors, -- of these, how many failed
    (SELECT coalesce(sum(b.input_tokens), 0) {_TREE}) AS input_tokens, -- of all its calls
    (SELECT coalesce(sum(b.output_tokens), 0) {_TREE}) AS output_tokens, -- of all its calls
    (SELECT coalesce(sum(CASE WHEN b.cache_hit = 0 THEN b.cost END), 0.0) {_TREE}) AS cost, -- USD spent
    (SELECT coalesce(sum(CASE WHEN b.cache_hit = 1 THEN b.cost END), 0.0) {_TREE})
        AS saved, -- USD that cache hits would have cost
    (WITH RECURSIVE below(id, depth) AS (
        SELECT b.trace_id, CASE WHEN b.trace_id = t.root_trace_id THEN 1 ELSE 2 END {_TREE}
        AND (b.trace_id = t.root_trace_id OR NOT EXISTS (SELECT 1 FROM traces AS p
            WHERE p.trace_id = b.parent_trace_id AND p.root_trace_id = t.root_trace_id))
        UNION ALL
        SELECT b.trace_id, below.depth + 1 FROM below JOIN traces AS b
        ON b.root_trace_id = t.root_trace_id AND b.parent_trace_id = below.id
        WHERE b.trace_id <> t.root_trace_id
    ) SELECT coalesce(max(depth), 1) FROM below) AS depth -- levels of calls; 1 for a call alone
FROM traces AS t
WHERE t.trace_id = t.root_trace_id OR (
    NOT EXISTS (SELECT 1 FROM traces AS p WHERE p.trace_id = t.root_trace_id)
    AND t.rowid = (SELECT b.rowid {_TREE} AND b.trace_id <> b.root_trace_id
        ORDER BY b.start_timestamp, b.rowid LIMIT 1))"""

MESSAGES = f"""CREATE VIEW messages AS -- one row a message that a call was asked with; its answer is in requests
SELECT
    t.trace_id, -- the call, see requests
    t.start_timestamp, -- of the call
    m.key AS place, -- of the message, from 0
    CASE WHEN m.type = 'object' THEN m.value ->> 'role' END AS role, -- system, user, assistant, tool
    CASE WHEN m.type = 'object' THEN m.value ->> 'content' ELSE m.value END
        AS content, -- text, or JSON where it has parts
    m.value AS message -- JSON, whole
FROM traces AS t, json_each({_CONFIGURATION}, '$.messages') AS m"""

SESSIONS = f"""CREATE VIEW sessions AS -- one row a session: many trees of one conversation
SELECT
    t.session_id, -- the session
    min(t.start_timestamp) AS start_timestamp, -- of its first call
    max(coalesce(t.end_timestamp, t.start_timestamp)) AS end_timestamp, -- of its last call
    max(t.end_user) AS end_user, -- the person whom the answers were for
    count(DISTINCT t.root_trace_id) AS trees, -- of calls
    {_SUMS.format(rows="in the session")}
FROM traces AS t WHERE t.session_id IS NOT NULL AND t.trace_id <> t.session_id GROUP BY t.session_id"""

SPEND_DAILY = f"""CREATE VIEW spend_daily AS -- one row for each day, project, key and model; what was sampled out too
SELECT
    substr(t.start_timestamp, 1, 10) AS day, -- on which the calls began, UTC
    {_PROJECT} AS project, -- by its name; null for what was sampled out
    t.key, -- of the config's keys: who called
    t.provider, -- that answered; null for what was sampled out
    t.model, -- that answered; null for what was sampled out
    {_SUMS.format(rows="of that day, project, key and model")}
FROM traces AS t WHERE t.trace_id IS NOT t.session_id GROUP BY 1, 2, 3, 4, 5
UNION ALL
SELECT substr(start_timestamp, 1, 10), NULL, NULL, NULL, NULL, sum(calls), sum(errors), sum(cache_hits),
    sum(input_tokens), sum(output_tokens), sum(cost), sum(saved)
FROM sampled_out GROUP BY 1"""

DEPLOYMENTS = f"""CREATE VIEW deployments AS -- one row for each version of a deployment that was called
SELECT
    t.deployment_id, -- the deployed prompt
    t.deployment_version, -- and its version
    min(t.start_timestamp) AS first_used, -- its first call
    max(t.start_timestamp) AS last_used, -- its last call
    avg(CASE WHEN t.cache_hit = 0 THEN t.latency END) AS latency, -- seconds, the mean of what the cache did not answer
    avg(t.feedback_score) AS feedback, -- 0 to 1, the mean
    {_SUMS.format(rows="of this version")}
FROM traces AS t WHERE t.deployment_id IS NOT NULL GROUP BY t.deployment_id, t.deployment_version"""

CACHE = """CREATE VIEW cache AS -- one row a model: how its calls fared with the cache
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
FROM traces AS t WHERE t.notes ->> 'cache' IS NOT NULL GROUP BY t.provider, t.model"""

VIEWS = (REQUESTS, TREES, MESSAGES, SESSIONS, SPEND_DAILY, DEPLOYMENTS, CACHE)
