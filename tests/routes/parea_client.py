"""A program of the original client, run in a process of its own: it reads where the server is when it is imported.

Prints what it saw as one JSON object, last.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from parea import Parea, get_current_trace_id, trace
from parea.parea_logger import parea_logger
from parea.schemas import EvaluationResult, FeedbackRequest, FilterOperator, QueryParams, UpdateLog
from parea.schemas.log import TraceIntegrations
from parea.schemas.models import TimeRange, TraceLogTree

seen: dict[str, Any] = {}
ids: dict[str, str] = {}


F = TypeVar("F", bound=Callable[..., Any])


def traced(**options: Any) -> Callable[[F], F]:
    """The client's decorator, which has no types."""
    decorate: Callable[[F], F] = trace(**options)
    return decorate


def note(name: str) -> None:
    ids[name] = get_current_trace_id()


def score_length(log: Any) -> EvaluationResult:
    return EvaluationResult(name="length", score=float(len(log.output)), reason="counted")


@traced(eval_funcs=[score_length], metadata={"purpose": "test", "n": 5})
def leaf(word: str) -> str:
    note(word)
    return word * 2


@traced(tags=["threads"])
def threads() -> list[str]:
    note("threads")
    with ThreadPoolExecutor(2) as pool:
        return [future.result() for future in [pool.submit(copy_context().run, leaf, word) for word in ("one", "two")]]


@traced()
async def coroutine(number: int) -> int:
    note(f"async{number}")
    await asyncio.sleep(0.01)
    return number


@traced(name="the-root", end_user_identifier="ann", session_id="s1")
def root(question: str) -> dict[str, Any]:
    note("root")
    threads()

    async def both() -> None:
        await asyncio.gather(coroutine(1), coroutine(2))

    asyncio.run(both())
    return {"answer": question}


@traced(log_omit_inputs=True, log_omit_outputs=True)
def omitted(secret: str) -> str:
    note("omitted")
    return secret


@traced()
def failing() -> None:
    note("failing")
    raise ValueError("on purpose")


def settle() -> None:
    """Wait for the client's logging threads."""
    while others := [
        thread for thread in threading.enumerate() if thread not in (threading.main_thread(),) and not thread.daemon
    ]:
        for thread in others:
            thread.join()


def outline(tree: TraceLogTree) -> Any:
    return {tree.trace_name: sorted((outline(child) for child in tree.children_logs), key=json.dumps)}


def main() -> None:
    p = Parea(api_key="key", project_name="mine")
    seen["project"] = [p._project.name, p._project.uuid]
    root("why?")
    omitted("canary")
    try:
        failing()
    except ValueError:
        pass
    settle()
    tree = p.get_trace_log(ids["root"])
    seen["outline"] = outline(tree)
    seen["root"] = {
        name: getattr(tree, name)
        for name in ("trace_name", "status", "output", "end_user_identifier", "session_id", "inputs")
    }
    one = p.get_trace_log(ids["one"])
    seen["leaf"] = {
        "scores": [[s.name, s.score, s.reason] for s in one.scores],
        "metadata": one.metadata,
        "output": one.output,
    }
    hidden = p.get_trace_log(ids["omitted"])
    seen["omitted"] = [hidden.inputs, hidden.output, hidden.status]
    seen["failing"] = [p.get_trace_log(ids["failing"]).status, "on purpose" in p.get_trace_log(ids["failing"]).error]

    parea_logger.update_log(
        UpdateLog(trace_id=ids["root"], field_name_to_value_map={"target": "because", "metadata": {"a": 1}})
    )
    p.record_feedback(FeedbackRequest(trace_id=ids["root"], score=0.5, name="thumbs", comment="fine"))
    tree = asyncio.run(p.aget_trace_log(ids["root"]))
    seen["edited"] = [
        tree.target,
        tree.metadata,
        tree.feedback_score,
        [[s.name, s.score, s.reason] for s in tree.scores],
    ]

    run_id = uuid.uuid4()
    child = {
        "id": uuid.uuid4(),
        "name": "tool",
        "run_type": "tool",
        "parent_run_id": run_id,
        "inputs": {"q": "x"},
        "outputs": {"output": "y"},
    }
    run = {
        "id": run_id,
        "name": "chain",
        "run_type": "chain",
        "inputs": {"q": "x"},
        "outputs": {"output": "z"},
        "child_runs": [child],
    }
    run |= {
        "_parea_parent_trace_id": ids["root"],
        "_parea_root_trace_id": ids["root"],
        "_session_id": "s1",
        "_tags": [],
        "_metadata": {},
    }
    parea_logger.record_vendor_log({**run, "_log_sample_rate": 1.0}, TraceIntegrations.LANGCHAIN)
    seen["langchain"] = outline(p.get_trace_log(str(run_id)))

    def names(**query: Any) -> list[Any]:
        page = p.get_trace_logs(QueryParams(**{"project_name": "mine", **query}))
        return [page.total, page.total_pages, [tree.trace_name for tree in page.results]]

    like, equals, more = FilterOperator.LIKE, FilterOperator.EQUALS, FilterOperator.GRATER_THAN
    seen["searches"] = {
        "all": names(),
        "like": names(filter_field="trace_name", filter_operator=like, filter_value="ROOT"),
        "status": names(status="error", time_range=TimeRange.LAST_1_HOUR),
        "metadata": names(filter_field="metadata", filter_key="a", filter_operator=equals, filter_value="1"),
        "score": names(filter_field="scores", filter_key="thumbs", filter_operator=more, filter_value="0.4"),
        "paged": names(page=2, page_size=2),
        "elsewhere": names(project_name="default"),
    }


main()
json.dump(seen, sys.stdout)
