"""What the versions of deployments have done: one line for each that rows name."""

from __future__ import annotations

import sqlite3

from proxy.protocols import VersionUse
from proxy.stores.log.rows import without_nul

_VERSIONS = """WITH used AS (
    SELECT deployment_id, deployment_version, status, cost, latency, cache_hit, scores, feedback_score, start_timestamp,
        row_number() OVER (PARTITION BY deployment_id, deployment_version, cache_hit = 0 AND latency IS NOT NULL
            ORDER BY latency) AS place,
        count(*) OVER (PARTITION BY deployment_id, deployment_version, cache_hit = 0 AND latency IS NOT NULL) AS timed
    FROM traces WHERE deployment_id IS NOT NULL AND (:id IS NULL OR deployment_id = :id)
)
SELECT deployment_id, deployment_version, count(*), sum(coalesce(status, '') = 'error'),
    coalesce(sum(CASE WHEN cache_hit = 0 THEN cost END), 0.0),
    avg(CASE WHEN cache_hit = 0 AND place IN ((timed + 1) / 2, timed / 2 + 1) THEN latency END),
    (SELECT avg(one.value ->> 'score') FROM used AS own, json_each(own.scores) AS one
        WHERE own.deployment_id = used.deployment_id AND own.deployment_version IS used.deployment_version
        AND json_type(one.value, '$.score') IN ('integer', 'real', 'true', 'false')),
    avg(feedback_score), max(start_timestamp)
FROM used GROUP BY deployment_id, deployment_version ORDER BY deployment_id, max(start_timestamp)"""
"""`VersionUse`, field by field: the median is the mean of the one or two rows in the middle."""


def versions(connection: sqlite3.Connection, deployment_id: str | None) -> list[VersionUse]:
    """The use of every version that rows name, of one deployment or of all."""
    rows = connection.execute(_VERSIONS, {"id": deployment_id and without_nul(deployment_id)}).fetchall()
    return [VersionUse(*row) for row in rows]
