"""What Schemathesis has to know of this service besides its document; .ci/schemathesis runs it.

It hides no failure but those that a JSON Schema cannot prevent: a request that fits its schema may still be refused for what it
means. Each of these is a rule below, with the words of the answer that it is known by.
"""

import json
import os
import re

import schemathesis
from hypothesis import strategies as st

# A request that fits its schema is refused with 422 or 400 for these, and for nothing else.
MEANINGS = [
    # A name is bounded in bytes of its normal form; maxLength counts characters.
    r"must be at most (32|64) bytes of UTF-8",
    # Two fields of one object, or two elements of one list.
    r"must be another location than from",
    r"names the same stock level as",
    r"name the same stock level and cannot be combined",
    r"names the level of line \d+ once more",
    r"is not waited for: leave min_available out",
    r"cannot be combined with If-Match",
    r"has no meaning for a level as it was",
    r"the same level of line",
    r"more than a level can have",
    # A text whose meaning is judged when it is read.
    r"must not be later than now",
    r"must be the next_cursor of an earlier page",
    r"is not held by",
    r"is not of the order",
    r"is not of this order at this location",
    # A webhook's host, and what it resolves to.
    r"^/url: ",
]
# Nor can it say that a key is used once only.
PROBLEMS = {"/problems/idempotency-key-reused", "/problems/quantity-overflow"}

# Webhooks that are made go nowhere but to this machine, to a port that nobody listens on.
NOWHERE = "http://127.0.0.1:9/hook"

# QUERY /v1/stock is served, and OpenAPI 3.1 has no word for the method. The levels of a sku named "query" are at /v1/stock/query.
UNSAID_METHODS = {"/v1/stock", "/v1/stock/query"}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """A service that was started without keys needs none: the document says what one with keys needs."""
    if os.environ.get("INVENTORY_FUZZ_OPEN"):
        raw_schema["components"].pop("securitySchemes")
        for operations in raw_schema["paths"].values():
            for operation in operations.values():
                operation.pop("security", None)


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("url"), str) and re.match("https?://", body["url"], re.I):
        case.body = {**body, "url": NOWHERE}


def is_answered_by_line(case):
    """A batch in independent mode: a line that is not as its schema says is refused by itself, within an answer of 200."""
    body = case.body
    is_batch = case.operation.path == "/v1/adjustments" and isinstance(body, dict)
    return is_batch and body.get("mode") == "independent" and isinstance(body.get("lines"), list) and body["lines"]


def made_of_letters(value):
    """The coverage phase makes headers of letters and digits alone, also where the pattern of an entity tag has quotes."""
    return isinstance(value, str) and value.isalnum()


@schemathesis.hook
def filter_failure(context, failure, case, response):
    kind = type(failure).__name__
    if kind in ("AllowHeaderMismatch", "UnsupportedMethodResponse") and case.operation.path in UNSAID_METHODS:
        return False
    if kind == "AcceptedNegativeData" and is_answered_by_line(case):
        return False
    if kind != "RejectedPositiveData":
        return True
    if any(made_of_letters(case.headers.get(name)) for name in ("If-Match", "If-None-Match")):
        return False
    try:
        problem = json.loads(response.content)
    except ValueError:
        return True
    details = [problem.get("detail", "")]
    details += [f"{error.get('pointer', '')}: {error['detail']}" for error in problem.get("errors", [])]
    if problem.get("type") in PROBLEMS:
        return False
    # Every one of them: what else is wrong beside it is a failure.
    told = details[1:] or details
    return not all(any(re.search(meaning, detail) for meaning in MEANINGS) for detail in told)


# The body of an import is lines, which no generator knows. Names and quantities are of a few only, so that levels are met again.
_names = st.sampled_from(["A-1", "B 2", "\u00e4", "1/2\"", ".x"])
_units = st.integers(min_value=0, max_value=2**40 - 1)
_line = st.fixed_dictionaries({"sku": _names, "on_hand": _units}, optional={"location": st.sampled_from(["main", "shop", None])})
_lines = st.lists(_line, min_size=1, max_size=5, unique_by=lambda line: (line["sku"], line.get("location") or "main"))


def _cell(text):
    return '"' + text.replace('"', '""') + '"'


schemathesis.openapi.media_type(
    "application/x-ndjson", _lines.map(lambda lines: "".join(json.dumps(line) + "\n" for line in lines).encode())
)
schemathesis.openapi.media_type(
    "text/csv",
    _lines.map(
        lambda lines: "sku,location,on_hand\r\n".encode()
        + "".join(
            f"{_cell(line['sku'])},{_cell(line.get('location') or 'main')},{line['on_hand']}\r\n" for line in lines
        ).encode()
    ),
)
