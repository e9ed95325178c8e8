"""A person's query to BigQuery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxi_assets.errors import TaxiError
from taxi_assets.stores.bigquery.answer import texts, values
from taxi_assets.stores.bigquery.resource import bigquery_session
from taxi_assets.stores.bigquery.statement import require_one_query, require_reading, unquoted_table
from taxi_assets.stores.google.cloud import GoogleCloud

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Answer:
    """The answer to a query.

    Attributes:
        columns: The names of its columns.
        rows: Its rows, fetched page by page as they are taken.
        texts: In place of `rows`, the columns of each page as the texts of the values; None: not of its types.
        bytes: Bytes that BigQuery read for it, where it says so.
    """

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]
    texts: Iterator[list[pa.Array]] | None
    bytes: int | None


@contextmanager
def query(
    cloud: GoogleCloud, sql: str, max_bytes_billed: int | None = None, *, reading: bool = False
) -> Iterator[Answer]:
    """Runs a query.

    Args:
        cloud: Where BigQuery is.
        sql: The query, in GoogleSQL; tables without a dataset are looked for in the one that BIGQUERY_DATASET names.
        max_bytes_billed: BigQuery refuses a query that would be billed for more.
        reading: Refuse everything but one query that reads, before anything runs.

    Raises:
        UsageError: It does more than read.
        TransientError: The service was lost.
        TaxiError: The query is wrong, is not permitted, or would be billed for more bytes than that.
    """
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud.bigquery import QueryJobConfig

    if reading:
        require_one_query(sql)
    with _next_step(sql), bigquery_session(cloud, "The query", cloud, intact="every table") as session:
        config = QueryJobConfig(maximum_bytes_billed=max_bytes_billed)
        if cloud.dataset:
            config.default_dataset = f"{session.client.project}.{cloud.dataset}"
        try:
            if reading:
                config.dry_run = True
                require_reading(session.begin(sql, job_config=config).statement_type, sql)
                config.dry_run = False
            job, result = session.query(sql, job_config=config)
        except GoogleAPICallError as error:
            if any(item.get("reason") == "bytesBilledLimitExceeded" for item in error.errors if isinstance(item, dict)):
                raise _too_much(max_bytes_billed, str(error)) from error
            raise
        names = [field.name for field in result.schema]
        yield Answer(names, values(result), texts(result), job.total_bytes_billed or None)


@contextmanager
def _next_step(sql: str) -> Iterator[None]:
    """Names the backticks or the dataset that a table may lack."""
    try:
        yield
    except TaxiError as error:
        if "invalidQuery" in error.details.get("Found", "") and (name := unquoted_table(sql)):
            error.details["Next"] = f"write the table in backticks, since its project has a dash: `{name}`"
        elif error.details.get("Found", "").startswith("does not exist"):
            error.details["Next"] = "correct the name: a table is named dataset.table, as `taxi log` lists them"
        raise


def _too_much(limit: int | None, message: str) -> TaxiError:
    return TaxiError(
        "The query would be billed for too many bytes.",
        expected=f"at most {limit} bytes, the limit that BIGQUERY_MAX_BYTES_BILLED sets",
        found=" ".join(message.split())[:300],
        intact="the bill: the query did not run",
        next_step="ask for fewer columns, or for some months only (WHERE source_month = …), or raise the limit",
    )
